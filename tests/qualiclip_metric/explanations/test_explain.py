"""Maps: what they point at, their range, and what they leave as it was."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qualiclip_metric import create, explain
from qualiclip_metric.encoders import RN50Encoder
from qualiclip_metric.explanations import METHODS
from qualiclip_metric.explanations import local as local_module
from qualiclip_metric.explanations.occlusion import smoothed
from qualiclip_metric.explanations.pairs import chosen, names
from qualiclip_metric.explanations.stretch import stretch
from qualiclip_metric.explanations.windows import axis, blend
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS, pair_name

GRADIENT = ("positive", "negative", "difference")


def photos(count: int = 2, size: tuple[int, int] = (64, 80), seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=rng)
    return nn.functional.interpolate(coarse, size=size, mode="bilinear")


class Shades(nn.Module):
    """How light and how dark, (N, 2, H/8, W/8), where the mask lets it see; blind elsewhere."""

    def __init__(self, seen: tuple[slice, slice]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, img: Tensor) -> Tensor:
        light = nn.functional.avg_pool2d(img.mean(dim=1, keepdim=True), 8)
        shades = torch.cat([light, 1 - light], dim=1)
        mask = torch.zeros_like(shades)
        mask[(..., *self.seen)] = 1
        return shades * mask


class ShadesEncoder(nn.Module):
    """The mean of the shades: pair 0 asks light or dark, pair 1 the opposite."""

    dim = 2

    def __init__(self, seen: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        super().__init__()
        self.trunk = Shades(seen)

    @property
    def last_stage(self) -> nn.Module:
        return self.trunk

    def forward(self, img: Tensor) -> Tensor:
        features: Tensor = self.trunk(img).mean(dim=(2, 3))
        return features


def light_meter(seen: tuple[slice, slice] = (slice(None), slice(None))) -> QualiCLIP:
    light, dark = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    prompts = torch.stack([torch.stack([light, dark]), torch.stack([dark, light])])
    metric = QualiCLIP(ShadesEncoder(seen), prompts, temperature=50.0).eval()
    metric.pairs = (("Light photo.", "Dark photo."), ("Dark photo.", "Light photo."))
    return metric


def peak(maps: Tensor) -> tuple[int, int]:
    row, column = divmod(int(maps.flatten().argmax()), maps.shape[-1])
    return row, column


@pytest.mark.parametrize("method", METHODS)
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


@pytest.mark.parametrize("method", METHODS)
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


def test_the_hooks_go_when_something_fails(tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match="at least 32x32 pixels"):
        explain(tiny, photos(size=(20, 40)))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.modules())


@pytest.mark.parametrize("method", METHODS)
def test_within_inference_mode(tiny: QualiCLIP, method: str) -> None:
    outside = explain(tiny, photos(), method=method)
    with torch.inference_mode():
        inside = explain(tiny, photos(), method=method)
    assert torch.equal(inside, outside)


CORNER = (slice(0, 4), slice(0, 4))  # of 8 x 10 cells


@pytest.mark.parametrize("method", ["negative", "difference", "occlusion"])
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
    for method in METHODS:
        left, right = explain(light_meter(), img, method=method, pair=0)[0, 0].split(128, dim=1)
        good, bad = (right, left) if method != "positive" else (left, right)
        assert bad.mean() > good.mean() + 0.2, method


@pytest.mark.parametrize("method", METHODS)
def test_the_pair_decides(method: str) -> None:
    img = torch.linspace(0, 1, 256).expand(1, 3, 128, 256)
    first, second = (explain(light_meter(), img, method=method, pair=k) for k in (0, 1))
    assert (first - second).abs().mean() > 0.1
    by_text = explain(light_meter(), img, method=method, pair="light/dark PHOTO")
    assert torch.equal(by_text, first)


@pytest.mark.parametrize("method", METHODS)
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
    for method in METHODS:
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


# --- what is refused --------------------------------------------------------------------------


class Detached(ShadesEncoder):
    """An encoder that computes elsewhere, as an inference engine does."""

    def forward(self, img: Tensor) -> Tensor:
        return super().forward(img.detach()).detach()


@pytest.mark.parametrize("method", GRADIENT)
def test_an_encoder_without_gradient_is_refused_with_the_cure(method: str) -> None:
    metric = QualiCLIP(Detached(), torch.eye(2)[None]).eval()
    cure = r"gives none; .* create\(\) .* method='occlusion' or 'local'"
    with pytest.raises(ValueError, match=cure):
        explain(metric, photos(), method=method)
    assert explain(metric, photos(), method="local").shape == (2, 1, 64, 80)


def test_an_encoder_without_stages_is_refused(tiny: QualiCLIP) -> None:
    tiny.encoder = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8)).eval()
    with pytest.raises(ValueError, match="grad-CAM needs the gradient at the encoder's last stage"):
        explain(tiny, photos(), method="difference")


def test_training_mode_is_refused(tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match=r"training mode.*metric\.eval\(\)"):
        explain(tiny.train(), photos())
    assert tiny.training


def test_wrong_arguments_are_refused(tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match=r"method: expected one of positive, .*'nonsense'"):
        explain(tiny, photos(), method="nonsense")
    with pytest.raises(ValueError, match="metric: expected a QualiCLIP"):
        explain(nn.Identity(), photos())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\)"):
        explain(tiny, photos()[0])


def test_a_missing_extra_names_its_cure(tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(ImportError, match=r"pip install 'qualiclip-metric\[explain\]'"):
        explain(tiny, photos(), method="difference")


# --- pairs ------------------------------------------------------------------------------------


def test_names_of_pairs() -> None:
    assert [pair_name(pair) for pair in PROMPTS] == [
        "Good/Bad photo",
        "Sharp/Blurry image",
        "Sharp/Blurry edges",
        "High-resolution/Low-resolution image",
        "Noise-free/Noisy image",
        "High-quality/Low-quality image",
        "Good/Bad picture",
    ]
    assert pair_name(("Well lit.", "Too dark.")) == "Well lit/Too dark"
    assert pair_name(("photo", "bad photo")) == "photo/bad photo"


def test_pairs_by_index_and_text(tiny: QualiCLIP) -> None:
    assert chosen(tiny, None) == (0, 1, 2, 3, 4, 5, 6)
    assert names(tiny)[0] == "pair 1"
    assert chosen(tiny, "pair 3") == (2,)
    tiny.pairs = PROMPTS
    assert chosen(tiny, 4) == (4,)
    assert chosen(tiny, "sharp/blurry edges") == (2,)
    assert chosen(tiny, "Blurry image.") == (1,)
    for wrong in (7, -1, True, "Sharp", ""):
        with pytest.raises(ValueError, match=r"pair: expected .* 1 'Sharp/Blurry image'"):
            chosen(tiny, wrong)


def test_probabilities_average_to_the_score(tiny: QualiCLIP) -> None:
    probabilities = tiny.probabilities(photos())
    assert probabilities.shape == (2, 7)
    torch.testing.assert_close(probabilities.mean(dim=1, keepdim=True), tiny(photos()))


# --- windows ----------------------------------------------------------------------------------


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
        local_module.quality(tiny, photos(1, (128, length))[0], range(7))
        assert max(shape[0] for shape in batches) <= 5
        pixels[length] = sum(shape.numel() for shape in batches)
    assert pixels[2048] / pixels[1024] == pytest.approx(2, rel=0.1)
    assert pixels[1024] <= 4 * 3 * 128 * 1024


def test_occlusion_costs_the_same_number_of_scores_at_any_size(
    tiny: QualiCLIP, batches: list[torch.Size]
) -> None:
    for size in ((64, 64), (233, 117), (256, 256)):
        batches.clear()
        explain(tiny, photos(1, size), method="occlusion")
        assert sum(shape[0] for shape in batches) <= 50


def test_the_cover_is_a_blur_that_keeps_flat_colour() -> None:
    flat = torch.full((3, 40, 60), 0.3)
    torch.testing.assert_close(smoothed(flat, 20), flat)
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert smoothed(noise, 32).std() < noise.std() / 4


def test_stretch() -> None:
    maps = torch.tensor([[[[2.0, 4.0]]], [[[3.0, 3.0]]], [[[1.0, 1.0 + 1e-6]]]])
    assert stretch(maps, 1e-5).flatten(1).tolist() == [[0, 1], [0, 0], [0, 0]]
