"""Windows of the local map: their cover, blending and cost."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qualiclip_metric.explanations import local as local_module
from qualiclip_metric.explanations.gradient import stretch
from qualiclip_metric.explanations.local import axis, blend
from qualiclip_metric.metric import QualiCLIP
from tests.qualiclip_metric.explanations.light_meter import photos


@settings(max_examples=40, deadline=None)
@given(st.integers(32, 500), st.integers(16, 224), st.integers(1, 224))
def test_windows_cover_a_side_and_share_each_pixel_out(size: int, window: int, step: int) -> None:
    step = min(step, window)
    side = axis(size, window, step)
    assert side.starts[0] == 0
    assert side.starts[-1] + side.window == size
    gaps = [b - a for a, b in zip(side.starts, side.starts[1:], strict=False)]
    assert all(0 < gap <= step for gap in gaps)
    tents = side.tents()
    torch.testing.assert_close(tents.sum(dim=0), torch.ones(size))
    assert tents.min() >= 0


def test_a_map_is_the_weighted_mean_of_its_windows() -> None:
    rows, columns = axis(40, 16, 8), axis(24, 16, 8)
    values = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    weighted, total = torch.zeros(40, 24), torch.zeros(40, 24)
    tent = 1 - (torch.arange(16) + 0.5 - 8).abs() / 8
    for i, top in enumerate(rows.starts):
        for j, left in enumerate(columns.starts):
            area = (slice(top, top + 16), slice(left, left + 16))
            weighted[area] += values[i, j] * tent[:, None] * tent
            total[area] += tent[:, None] * tent
    torch.testing.assert_close(blend(values, rows, columns), weighted / total)


@pytest.fixture
def batches(tiny: QualiCLIP) -> Iterator[list[torch.Size]]:
    seen: list[torch.Size] = []
    hook = tiny.encoder.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].shape))
    yield seen
    hook.remove()


def test_the_local_map_is_linear_in_the_area_and_bounded_in_memory(
    tiny: QualiCLIP, batches: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_module, "BATCH_PIXELS", 5 * 128 * 128)
    pixels = {}
    for length in (512, 1024, 2048):
        batches.clear()
        local_module.local(tiny, photos(1, (128, length)), range(7))
        assert max(shape[0] for shape in batches) <= 5
        pixels[length] = sum(shape.numel() for shape in batches)
    assert pixels[2048] / pixels[1024] == pytest.approx(2, rel=0.1)
    assert pixels[1024] <= 4 * 3 * 128 * 1024


def test_stretch() -> None:
    maps = torch.tensor([[[[2.0, 4.0]]], [[[3.0, 3.0]]], [[[1.0, 1.0 + 1e-6]]]])
    assert stretch(maps, 1e-5).flatten(1).tolist() == [[0, 1], [0, 0], [0, 0]]
