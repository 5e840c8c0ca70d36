"""What is computed of times on Ray; the photos' shards."""

from math import isnan
from pathlib import Path

import pytest

from benchmarks.speed import on_ray
from qualiclip_metric.decoding import Encoded
from qualiclip_metric.streaming.shards import images


def test_the_start_up_is_in_no_rate() -> None:
    assert on_ray.Timed(15.0, 25.0, 200).rate == 20
    assert isnan(on_ray.Timed(15.0, 14.0, 200).rate)
    rounds = [on_ray.Timed(15.0, 26.0, 200), on_ray.Timed(16.0, 25.0, 200)]
    assert on_ray.shortest(rounds) == on_ray.Timed(15.0, 25.0, 200)


def test_a_comparison_states_what_an_image_costs_more_on_ray() -> None:
    plain, ray = on_ray.Timed(3.0, 8.0, 200), on_ray.Timed(9.0, 15.25, 200)
    assert str(on_ray.Comparison(2, plain, ray)) == (
        "  2 workers: 32.00 images/s (9.0 s, 200 more 15.2 s), plain command with as many threads "
        "40.00 images/s (3.0 s, 200 more 8.0 s); ratio 0.800, +12.5 ms an image"
    )


@pytest.mark.parametrize("count", [64, 100])
def test_half_of_the_shards_have_half_of_the_photos(tmp_path: Path, count: int) -> None:
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(photos):
        path.write_bytes(bytes([number]))
    with on_ray.packed(photos, count) as shards:
        members = [list(images(str(path))) for path in shards]
    assert len(members) == on_ray.SHARDS
    assert sum(map(len, members[: on_ray.SHARDS // 2])) == count // 2
    found = [item for some in members for item in some]
    assert len({item.key for item in found}) == count
    contents = [item.image.content for item in found if isinstance(item.image, Encoded)]
    assert contents == [bytes([number % 3]) for number in range(count)]
