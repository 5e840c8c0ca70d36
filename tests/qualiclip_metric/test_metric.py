"""The metric's contract, on a tiny seeded encoder and on `lite`."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad

from qualiclip_metric import QualiCLIP, antonym_score, create


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- antonym_score ---------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 7), st.floats(0.1, 100), st.integers(0, 2**16))
def test_antonym_score_against_numpy(n: int, pairs: int, scale: float, seed: int) -> None:
    cosine = np.random.default_rng(seed).uniform(-1, 1, (n, pairs, 2))
    expected = (1 / (1 + np.exp(scale * (cosine[..., 1] - cosine[..., 0])))).mean(1, keepdims=True)
    np.testing.assert_allclose(antonym_score(torch.from_numpy(cosine), scale), expected, atol=1e-12)


def test_antonym_score_does_not_overflow() -> None:
    cosine = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    assert antonym_score(cosine, 1e6).item() == 0.5


# --- contract --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (32, 47), (33, 65), (101, 64), (224, 224)])
def test_shape_dtype_and_range(tiny: QualiCLIP, size: tuple[int, int]) -> None:
    img = images(3, 3, *size)
    before = img.clone()
    score, cosine = tiny(img), tiny.similarities(img)
    assert score.shape == (3, 1)
    assert cosine.shape == (3, 7, 2)
    assert score.dtype == cosine.dtype == torch.float32
    assert ((score >= 0) & (score <= 1)).all()
    assert (cosine.abs() <= 1 + 1e-6).all()
    assert torch.equal(img, before)
    torch.testing.assert_close(score, antonym_score(cosine, 100 / 10))


def test_an_empty_batch_has_no_scores(tiny: QualiCLIP) -> None:
    assert tiny(torch.empty(0, 3, 40, 40)).shape == (0, 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_type_is_taken(tiny: QualiCLIP, dtype: torch.dtype) -> None:
    img = images(1, 3, 40, 40).to(dtype)
    score = tiny(img)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, tiny(img.float()))


@pytest.mark.parametrize(
    ("img", "message"),
    [
        (torch.zeros(3, 40, 40), r"got \(3, 40, 40\)"),
        (torch.zeros(1, 1, 40, 40), r"got \(1, 1, 40, 40\).*expand"),
        (torch.zeros(1, 40, 40, 3), r"got \(1, 40, 40, 3\)"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 3, 31, 40), "31x40"),
        (torch.zeros(1, 3, 40, 31), "40x31"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(tiny: QualiCLIP, img: Tensor, message: str) -> None:
    for ask in (tiny, tiny.similarities):
        with pytest.raises(ValueError, match=message):
            ask(img)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7, 8), {}, "prompts"),
        ((7, 3, 8), {}, "prompts"),
        ((7, 2, 8), {"temperature": 0.0}, "temperature"),
        ((7, 2, 8), {"temperature": float("nan")}, "temperature"),
        ((7, 2, 8), {"scoring_size": 31}, "scoring_size"),
    ],
)
def test_wrong_settings_are_refused(
    shape: tuple[int, ...], options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        QualiCLIP(torch.nn.Identity(), torch.ones(shape), **options)  # type: ignore[arg-type]


def test_the_length_of_prompt_features_does_not_matter(tiny: QualiCLIP) -> None:
    longer = QualiCLIP(tiny.encoder, 3 * tiny.prompts, temperature=10.0)
    img = images(2, 3, 40, 40)
    torch.testing.assert_close(longer(img), tiny(img))


# --- properties ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 5), st.integers(32, 80), st.integers(32, 80), st.integers(0, 2**16))
def test_a_score_does_not_depend_on_the_batch(n: int, height: int, width: int, seed: int) -> None:
    metric = _tiny()
    img = images(n, 3, height, width, seed=seed)
    alone = torch.cat([metric(one[None]) for one in img])
    torch.testing.assert_close(metric(img), alone, atol=1e-6, rtol=0)


def _tiny() -> QualiCLIP:
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )  # fmt: skip
    return QualiCLIP(encoder, torch.randn(7, 2, 8)).eval()


def test_memory_layout_does_not_matter(tiny: QualiCLIP) -> None:
    img = images(2, 3, 50, 61)
    other = img.to(memory_format=torch.channels_last)
    torch.testing.assert_close(tiny(img), tiny(other), atol=1e-6, rtol=0)


def test_gradients_reach_the_image_and_no_weights(tiny: QualiCLIP) -> None:
    img = images(2, 3, 40, 44).requires_grad_()
    score = tiny(img)
    score.sum().backward()
    assert img.grad is not None
    assert (img.grad.flatten(1).abs().sum(dim=1) > 0).all()
    assert all(p.grad is None for p in tiny.parameters())


def test_the_gradient_is_the_slope(tiny: QualiCLIP) -> None:
    metric = copy.deepcopy(tiny).double()
    img = images(1, 3, 32, 32).double().requires_grad_()
    (slope,) = torch.autograd.grad(metric(img).sum(), img)
    step = 1e-6 * torch.randn(img.shape, dtype=torch.float64)
    measured = (metric(img + step) - metric(img - step)).item() / 2
    assert measured == pytest.approx((slope * step).sum().item(), rel=1e-3)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")  # torch's own use of it
def test_forward_mode_gives_the_same_slope(tiny: QualiCLIP) -> None:
    img = images(2, 3, 40, 44).requires_grad_()
    (slope,) = torch.autograd.grad(tiny(img).sum(), img)
    step = torch.randn(img.shape, generator=torch.Generator().manual_seed(0))
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(tiny(forward_ad.make_dual(img.detach(), step))).tangent
    assert tangent is not None
    torch.testing.assert_close(tangent.sum(), (slope * step).sum(), atol=1e-5, rtol=1e-3)


def test_vmap_is_a_loop(random_lite: Path) -> None:
    metric, imgs = create(random_lite), images(3, 2, 3, 40, 44)
    expected = torch.stack([metric(img) for img in imgs])
    torch.testing.assert_close(torch.func.vmap(metric)(imgs), expected, atol=1e-6, rtol=0)
    slopes = torch.func.vmap(torch.func.grad(lambda img: metric(img[None]).sum()))(imgs[0])
    img = imgs[0].clone().requires_grad_()
    metric(img).sum().backward()
    torch.testing.assert_close(slopes, img.grad, atol=1e-6, rtol=1e-3)
    imgs[1, 1, 2, 3, 4] = 7
    with pytest.raises(ValueError, match="to 7"):
        torch.func.vmap(metric)(imgs)


def test_state_dict_is_whole(tiny: QualiCLIP) -> None:
    img = images(2, 3, 40, 40)
    other = QualiCLIP(copy.deepcopy(tiny.encoder), torch.zeros(7, 2, 8), temperature=10.0)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(tiny.state_dict(), strict=True)
    assert torch.equal(other(img), tiny(img))


def test_a_whole_metric_survives_torch_save(random_lite: Path, tmp_path: Path) -> None:
    metric = create(random_lite)
    torch.save(metric, tmp_path / "metric.pt")
    again = torch.load(tmp_path / "metric.pt", weights_only=False)
    img = images(1, 3, 64, 64)
    assert again.signature == metric.signature
    assert torch.equal(again(img), metric(img))


# --- create ----------------------------------------------------------------------------------


def test_temperature_can_be_told(random_lite: Path) -> None:
    metric, warmer = create(random_lite), create(random_lite, temperature=8.0)
    img = images(1, 3, 64, 64)
    assert "|temperature:8|" in str(warmer.signature)
    torch.testing.assert_close(warmer(img), antonym_score(metric.similarities(img), 100 / 8))


def test_bf16_is_near_and_says_so(random_lite: Path) -> None:
    metric, fast = create(random_lite), create(random_lite, precision="bf16")
    img = images(1, 3, 64, 64)
    assert "|precision:bf16|" in str(fast.signature)
    assert fast(img).dtype == torch.float32
    difference = (fast.similarities(img) - metric.similarities(img)).abs().max().item()
    assert 0 < difference < 0.02  # bfloat16 has 8 bits of mantissa


@pytest.mark.parametrize(
    ("argument", "value"), [("device", "gpu"), ("precision", "fp8"), ("temperature", 0.0)]
)
def test_create_refuses_wrong_settings(random_lite: Path, argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{argument}: expected"):
        create(random_lite, **{argument: value})  # type: ignore[arg-type]


def test_create_refuses_unknown_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="registered name"):
        create(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="of a folder"):
        create(tmp_path)
