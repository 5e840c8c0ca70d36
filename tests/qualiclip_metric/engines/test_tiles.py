"""Row tiles divide the outcome of the leading stages, and change no feature map in OpenVINO."""

import pytest
import torch

from qualiclip_metric.encoders import ENCODERS
from qualiclip_metric.engines.layers import LayerGraph, largest_map
from qualiclip_metric.engines.tiles import LARGE_MAP, count_tiled, tiles

HEIGHTS = (32, 47, 98, 131)
"""No multiples of the strides but the first."""


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def graph(request: pytest.FixtureRequest) -> LayerGraph:
    torch.manual_seed(0)
    encoder = ENCODERS[request.param](()).eval().requires_grad_(False)
    graph: LayerGraph = encoder.layer_graph()
    return graph


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("height", [*HEIGHTS, 2160])
def test_each_row_of_the_outcome_is_of_one_tile(graph: LayerGraph, height: int, count: int) -> None:
    stages = graph.parts[0][: count_tiled(graph.parts[0])]
    rows = height
    for stage in stages:
        rows = stage.output(rows)
    found = list(tiles(stages, height, count))
    assert len(found) == min(count, rows)
    assert sum(tile.last - tile.first for tile in found) == rows
    assert (found[0].top, found[-1].bottom) == (0, height)
    assert all(0 <= tile.top < tile.bottom <= height for tile in found)
    assert all(0 <= tile.first < tile.last for tile in found)


def test_the_largest_maps_are_tiled(graph: LayerGraph) -> None:
    (first, *_) = graph.parts
    count = count_tiled(first)
    assert 0 < count < len(first)
    largest, area = largest_map(first[:count], 1.0)
    assert largest == graph.max_values_per_pixel > LARGE_MAP
    assert largest_map(first[count:], area)[0] <= LARGE_MAP


@pytest.mark.parametrize("count", [3, 100])
def test_tiles_leave_feature_maps_as_they_are(
    graph: LayerGraph, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    from qualiclip_metric.engines import openvino

    engine = openvino.OpenVINOEngine(graph, torch.float32)
    monkeypatch.setattr(openvino, "TILES", count)
    rng = torch.Generator().manual_seed(1)
    for height in HEIGHTS[1:3]:
        img = torch.rand(1, 3, height, 40, generator=rng)
        monkeypatch.setattr(openvino, "TILED_PIXELS", height * 40)
        whole = engine(img)
        monkeypatch.setattr(openvino, "TILED_PIXELS", height * 40 - 1)
        for found, expected in zip(engine(img), whole, strict=True):
            assert (found - expected).norm() <= 1e-6 * expected.norm()
    assert set(engine._requests) == {None, (HEIGHTS[2], 40)}


@pytest.mark.parametrize("graph", ["lite"], indirect=True)  # RN50 takes a minute without AMX
def test_tiles_in_bf16_are_near(graph: LayerGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    from qualiclip_metric.engines import openvino

    img = torch.rand(1, 3, 98, 40, generator=torch.Generator().manual_seed(1))
    engine = openvino.OpenVINOEngine(graph, torch.bfloat16)
    whole = engine(img)
    monkeypatch.setattr(openvino, "TILED_PIXELS", 0)
    for found, expected in zip(engine(img), whole, strict=True):
        assert (found - expected).norm() < 0.1 * expected.norm()
