"""Maps: the places they mark, their range, and a metric that stays unchanged."""

import pytest
import torch

from qualiclip_metric import create, explain
from qualiclip_metric.encoders.rn50 import RN50Encoder
from qualiclip_metric.explanations import METHODS
from qualiclip_metric.metric import QualiCLIP
from tests.qualiclip_metric.explanations.light_meter import (
    light_meter,
    peak,
    photos,
)

ANY_ENCODER = [method for method in METHODS if method not in ("positions", "shares")]


@pytest.mark.parametrize("method", ANY_ENCODER)
def test_maps_have_the_images_size_and_lie_in_the_unit_range(tiny: QualiCLIP, method: str) -> None:
    img = photos()
    maps = explain(tiny, img, method=method)
    assert maps.shape == (2, 1, 64, 80)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert torch.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() <= 1
    if method != "local":  # stretched: each map has both ends, or nothing stands out in it
        ends = [(one.min().item(), one.max().item()) for one in maps]
        assert all(low == 0 and high in (0, pytest.approx(1)) for low, high in ends)
    alone = torch.cat([explain(tiny, one[None], method=method) for one in img])
    torch.testing.assert_close(maps, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ANY_ENCODER)
def test_the_metric_is_left_as_it_was(tiny: QualiCLIP, method: str) -> None:
    img = photos()
    before = tiny(img)
    weight = next(tiny.encoder.parameters())
    weight.requires_grad_(True)
    weight.grad = torch.ones_like(weight)
    explain(tiny, img, method=method)
    assert weight.requires_grad
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert [p.requires_grad for p in tiny.parameters()].count(True) == 1
    for module in tiny.modules():
        assert not module.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.equal(tiny(img), before)


@pytest.mark.parametrize("method", ANY_ENCODER)
def test_within_inference_mode(tiny: QualiCLIP, method: str) -> None:
    outside = explain(tiny, photos(), method=method)
    with torch.inference_mode():
        inside = explain(tiny, photos(), method=method)
    assert torch.equal(inside, outside)


CORNER = (slice(0, 4), slice(0, 4))  # of 8 x 10 cells


@pytest.mark.parametrize("method", ["negative", "difference"])
def test_a_metric_that_sees_one_corner_points_there(method: str) -> None:
    metric = light_meter(CORNER)
    img = torch.full((1, 3, 64, 80), 0.9)
    img[..., 8:16, 8:16] = 0.1  # a dark fault, and another one that is not seen
    img[..., 40:48, 56:64] = 0.1
    row, column = peak(explain(metric, img, method=method, pair=0))
    assert row < 32
    assert column < 32


def test_what_says_good_is_the_light_and_what_says_bad_the_dark() -> None:
    img = torch.full((1, 3, 128, 256), 0.1)
    img[..., 128:] = 0.9
    for method in ANY_ENCODER:
        left, right = explain(light_meter(), img, method=method, pair=0)[0, 0].split(128, dim=1)
        good, bad = (right, left) if method != "positive" else (left, right)
        assert bad.mean() > good.mean() + 0.2, method


@pytest.mark.parametrize("method", ANY_ENCODER)
def test_the_pair_decides(method: str) -> None:
    img = torch.linspace(0, 1, 256).expand(1, 3, 128, 256)
    first, second = (explain(light_meter(), img, method=method, pair=k) for k in (0, 1))
    assert (first - second).abs().mean() > 0.1
    by_text = explain(light_meter(), img, method=method, pair="light/dark PHOTO")
    assert torch.equal(by_text, first)


@pytest.mark.parametrize("method", ANY_ENCODER)
def test_a_constant_image_has_no_worst_place(method: str) -> None:
    maps = explain(light_meter(), torch.full((1, 3, 64, 64), 0.4), method=method, pair=0)
    assert torch.isfinite(maps).all()
    assert maps.max() - maps.min() < 1e-6
    if method != "local":
        assert maps.max() == 0


def test_one_window_gives_the_score_itself(tiny: QualiCLIP) -> None:
    img = photos(2, (32, 32))
    expected = (1 - tiny(img))[..., None, None].expand(-1, -1, 32, 32)
    torch.testing.assert_close(explain(tiny, img, method="local"), expected)


def test_the_blurred_half_is_the_worse_one_for_lite() -> None:
    data = pytest.importorskip("skimage.data")
    from qualiclip_metric.distortions import distort

    photo = torch.from_numpy(data.chelsea())[20:276, 60:316].permute(2, 0, 1)[None] / 255
    blurred = distort(photo, "gaublur", 5, torch.Generator().manual_seed(0))
    photo[..., 128:] = blurred[..., 128:]
    metric = create("lite")
    left, right = explain(metric, photo, method="local")[0, 0].split(128, dim=1)
    assert right.mean() > left.mean() + 0.2


def test_half_precision(random_lite: object) -> None:
    exact, fast = (create(str(random_lite), precision=p) for p in ("fp32", "bf16"))
    img = photos(1, (96, 96))
    for method in ANY_ENCODER:
        maps = explain(fast, img, method=method)
        assert maps.dtype == torch.float32
        assert (maps - explain(exact, img, method=method)).abs().mean() < 0.1


def test_the_rn50_tower() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        metric = QualiCLIP(RN50Encoder(), torch.randn(7, 2, 1024)).eval().requires_grad_(False)
    kinds = ("positive", "negative")  # of random prompts, one may find nothing that speaks for it
    maps = torch.cat([explain(metric, photos(1, (96, 64)), method=kind) for kind in kinds])
    assert maps.shape == (2, 1, 96, 64)
    assert maps.max() == pytest.approx(1)


def test_the_graph_begins_at_the_last_stage(tiny: QualiCLIP) -> None:
    needs = []
    first = tiny.encoder.get_submodule("trunk.0")
    handle = first.register_forward_hook(lambda _m, _i, output: needs.append(output.requires_grad))
    explain(tiny, photos(), method="difference")
    handle.remove()
    assert needs == [False]
