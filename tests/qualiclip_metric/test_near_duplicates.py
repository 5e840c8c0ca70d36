"""Photos are grouped by what they show, and by when they were taken."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric.near_duplicates import (
    ALIKE_BITS,
    BURST_BITS,
    OPEN_BURSTS,
    group_hashes,
    group_photos,
    perceptual_hash,
)
from qualiclip_metric.sample_photos import NAMES, sample_photo


def flipped(value: int, bits: int) -> int:
    """A hash that differs in the lowest bits."""
    return value ^ ((1 << bits) - 1)


def test_hashes_group_copies_and_separate_contents() -> None:
    hashes = []
    for name in NAMES:
        photo = Image.fromarray(sample_photo(name))
        small = np.asarray(photo.resize((photo.width // 3, photo.height // 3)))
        for pixels in (sample_photo(name), small, np.float32(small / 255) ** 1.1):
            hashes.append(perceptual_hash(pixels))
    assert group_photos(hashes).tolist() == [i // 3 for i in range(12)]


def test_hash_groups_equal_brute_force() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**63, size=5, dtype=np.uint64)
    hashes = np.concatenate([base ^ (np.uint64(1) << np.uint64(b)) for b in (0, 9, 33, 60)])
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 2
    groups = group_hashes(hashes, bits=2)
    np.testing.assert_array_equal(near, groups[:, None] == groups[None])
    with pytest.raises(ValueError, match=r"0\.\.7"):
        group_hashes(hashes, bits=8)


@pytest.mark.parametrize(
    ("bits", "times", "expected"),
    [
        (0, [0.0, 3600.0], [0, 1]),  # one view, an hour later
        (ALIKE_BITS, [0.0, None], [0, 0]),  # an edited copy has lost its time
        (ALIKE_BITS + 1, [0.0, None], [0, 1]),
        (BURST_BITS, [0.5, 0.0], [0, 0]),
        (BURST_BITS, [None, None], [0, 1]),  # alike by chance
        (BURST_BITS + 1, [0.0, 0.5], [0, 1]),
    ],
)
def test_times_decide_how_much_hashes_may_differ(
    bits: int, times: Sequence[float | None], expected: list[int]
) -> None:
    assert group_photos([7, flipped(7, bits)], times).tolist() == expected


def test_a_photo_without_a_time_joins_the_nearest_burst_and_links_no_two() -> None:
    """One view at two times; a copy of each without a time, and a chain to another copy."""
    hashes = [0b0, 0b11111, 0b1, 0b1111, 0b1111 ^ (0b1111111 << 10)]
    assert group_photos(hashes, [0.0, 3600.0, None, None, None]).tolist() == [0, 1, 0, 1, 1]


def test_a_burst_goes_on_while_its_photos_follow_each_other() -> None:
    """Two cameras at once; the bursts last longer than the pause that ends one."""
    one, other = 0, 2**64 - 1
    times = [float(second) for second in range(0, 40, 4) for _ in range(2)]
    assert group_photos([one, other] * 10, times).tolist() == [0, 1] * 10
    assert group_photos([one, other] * 10, times, seconds=3).tolist() == list(range(20))


def test_a_clock_that_stands_still_leaves_the_work_bounded() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, 3 * OPEN_BURSTS).tolist()
    groups = group_photos([*hashes, hashes[-1], hashes[0]], [0.0] * (len(hashes) + 2))
    assert groups[-2] == groups[len(hashes) - 1]
    assert groups[-1] == len(hashes)  # its burst is no longer among the open ones


def test_no_photo_is_in_no_group() -> None:
    assert group_photos([]).tolist() == []
