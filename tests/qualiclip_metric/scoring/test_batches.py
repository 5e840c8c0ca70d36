"""Batches: planned by size, decoded ahead, in memory that is used again."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qualiclip_metric import images
from qualiclip_metric.resize import reduced
from qualiclip_metric.scoring import batches
from qualiclip_metric.scoring.batches import AHEAD_BATCHES, decode_ahead, plan_batches


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([(1, 10), (2, 5), (3, 3), (20, 20), (0, 0)]), max_size=60),
    st.integers(1, 7),
    st.integers(1, 60),
    st.integers(0, 20),
)
def test_plan(sizes: list[tuple[int, int]], batch_size: int, most: int, window: int) -> None:
    read = 0

    def reader() -> Iterator[tuple[int, int]]:
        nonlocal read
        for size in sizes:
            read += 1
            yield size

    seen: list[int] = []
    for positions, pixels in plan_batches(reader(), batch_size, most, window):
        assert len({sizes[i] for i in positions}) == 1
        assert len(positions) <= batch_size
        assert pixels == sum(math.prod(sizes[i]) for i in positions)
        assert pixels <= most or len(positions) == 1
        assert list(positions) == sorted(positions)
        assert read - 1 - positions[0] <= window
        seen += positions
        assert read == len(sizes) or read <= min(set(range(len(sizes))) - set(seen)) + window + 1
    assert sorted(seen) == list(range(len(sizes)))


def test_plan_joins_what_belongs_together() -> None:
    sizes = [(4, 4), (5, 5), (4, 4), (5, 5), (4, 4)]
    assert [p for p, _ in plan_batches(sizes, 2, 100, 10)] == [(0, 2), (1, 3), (4,)]


def test_batches_are_what_read_gives_in_memory_that_is_used_again(photos: list[Path]) -> None:
    buffer = batches.BatchBuffer("cpu")
    group = [photos[0], photos[2], photos[4]]
    batch = buffer.fill([images.pixels(path) for path in group])
    place = batch.data_ptr()
    assert torch.equal(batch, torch.stack([images.read(path) for path in group]))
    smaller = buffer.fill([images.pixels(photos[3])])
    assert smaller.data_ptr() == place
    assert torch.equal(smaller[0], images.read(photos[3]))
    larger = buffer.fill([images.pixels(photos[1])] * 5)
    assert torch.equal(larger[4], images.read(photos[1]))


def test_large_images_are_reduced_before_they_are_floats(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = [images.pixels(photos[0])] * 2
    whole = batches.BatchBuffer("cpu").fill(group).clone()
    monkeypatch.setattr(batches, "LARGE_PIXELS", group[0].shape[0] * group[0].shape[1] - 1)
    buffer = batches.BatchBuffer("cpu", side=32)
    assert torch.equal(buffer.fill(group), reduced(whole, 32))
    assert not buffer.buffer.numel()
    assert torch.equal(batches.BatchBuffer("cpu", side=10**4).fill(group), whole)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_decoding_keeps_the_order(workers: int) -> None:
    planned = [(range(start, start + 3), 2**23) for start in range(0, 30, 3)]
    decoded = list(batches.decode_ahead(planned, lambda n: n * n, workers))
    assert decoded == [[(n, n * n) for n in places] for places, _ in planned]


def test_files_without_pixels_are_not_decoded_far_ahead() -> None:
    taken = 0

    def endless() -> Iterator[tuple[list[int], int]]:
        nonlocal taken
        while True:
            taken += 1
            yield [taken], 0

    decoded = decode_ahead(endless(), str, workers=1)
    assert next(decoded) == [(1, "1")]
    assert taken <= AHEAD_BATCHES + 1
