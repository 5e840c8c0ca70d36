"""The contract of every distortion: shape, range, dtype, one random state, no mutation, errors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from qualiclip_metric.distortions import (
    DISTORTIONS,
    FAULT_OF,
    FAULTS,
    LEVELS,
    LINKS,
    distort,
    ladder,
    resolve,
    table,
)

NAMES = tuple(DISTORTIONS)
RANDOM = {
    "motionblur", "colorshift", "whitenoise", "whitenoiseCC", "impulsenoise", "multnoise",
    "meanshift", "jitter", "noneccpatch", "colorblock",
}  # fmt: skip


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def photo(height=64, width=80, name="astronaut", top=20, left=160):
    pixels = torch.from_numpy(getattr(data, name)()[top : top + height, left : left + width].copy())
    return pixels.permute(2, 0, 1)[None].float() / 255


def pair():
    return torch.cat([photo(), photo(name="coffee")])


def test_a_row_names_a_fault_of_the_diagnosis():
    assert set(FAULT_OF.values()) == set(FAULTS)
    assert set(LINKS) <= set(FAULT_OF) <= set(DISTORTIONS) | set(LINKS)
    with pytest.raises(ValueError, match="fault"):
        table._row("mine", "blur", "fog", (1, 2, 3, 4, 5), lambda img, value, rng: img, "px")


@pytest.mark.parametrize("name", NAMES)
def test_shape_range_dtype_and_input_left_alone(name):
    img = pair()
    before = img.clone()
    steps = ladder(img, name, rng())
    assert steps.shape == (LEVELS, *img.shape)
    assert steps.dtype == torch.float32
    assert steps.min() >= 0
    assert steps.max() <= 1
    assert torch.equal(img, before)
    for step in steps:
        assert not torch.equal(step, img)


@pytest.mark.parametrize("name", NAMES)
def test_a_ladder_is_its_levels_from_one_random_state(name):
    img = pair()
    together, unseeded = rng(3), torch.get_rng_state()
    steps = ladder(img, name, together)
    assert torch.equal(torch.get_rng_state(), unseeded)
    for level in range(1, LEVELS + 1):
        alone = rng(3)
        assert torch.equal(distort(img, name, level, alone), steps[level - 1])
        assert torch.equal(alone.get_state(), together.get_state())


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_and_only_where_something_is_drawn(name):
    img = pair()
    first = [distort(img, name, 4, rng(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert torch.equal(first[0], first[1])
    assert any(not torch.equal(first[0], other) for other in first[2:]) == (name in RANDOM)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_batch_share_the_state_and_do_not_see_each_other(name):
    img = pair()
    batch = distort(img, name, 3, rng(5))
    for index in range(2):
        alone = distort(img[index : index + 1], name, 3, rng(5))
        torch.testing.assert_close(batch[index : index + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_other_float_types_are_computed_exactly_and_returned(name, dtype):
    img = photo().to(dtype)
    out = distort(img, name, 3, rng())
    assert out.dtype == dtype
    exact = distort(img.float(), name, 3, rng())
    if dtype == torch.float64:  # rounding may move a value over a threshold of the coders
        assert (out.float() - exact).abs().mean() < 1e-4
    else:
        assert torch.equal(out, exact.to(dtype))


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    height=st.integers(32, 75),
    width=st.integers(32, 75),
    level=st.integers(1, LEVELS),
    seed=st.integers(0, 2**31),
)
def test_any_size_from_32_up(name, height, width, level, seed):
    img = torch.rand(1, 3, height, width, generator=rng(seed))
    out = distort(img, name, level, rng(seed))
    assert out.shape == img.shape
    assert out.isfinite().all()
    assert (out.min() >= 0) and (out.max() <= 1)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_image_stays_finite(name, value):
    out = ladder(torch.full((1, 3, 40, 33), value), name, rng())
    assert out.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_view_that_is_not_contiguous_gives_the_same(name):
    img = pair()
    turned = img.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    torch.testing.assert_close(
        distort(turned, name, 4, rng()), distort(img, name, 4, rng()), atol=1e-6, rtol=0
    )


def test_a_composition_applies_its_types_in_order():
    img = pair()
    names = ("motionblur", "whitenoise", "jpeg")
    steps = ladder(img, names, rng(8))
    for level in (1, 4):
        one, state = img, rng(8)
        for name in names:
            one = distort(one, name, level, state)
        assert torch.equal(steps[level - 1], one)
    assert not torch.equal(steps, ladder(img, names[::-1], rng(8)))


def test_a_shorter_ladder_is_the_beginning_of_the_whole():
    img = pair()
    assert torch.equal(ladder(img, "colorblock", rng(), 2), ladder(img, "colorblock", rng())[:2])


def test_gradients_are_not_recorded():
    assert not distort(photo().requires_grad_(), "gaublur", 1, rng()).requires_grad


@pytest.mark.parametrize(
    ("img", "message"),
    [
        (torch.rand(3, 64, 64), r"img\[None\]"),
        (torch.rand(0, 3, 64, 64), "at least one image"),
        (torch.full((1, 3, 64, 64), 255.0), "img / 255"),
    ],
)
def test_a_wrong_image_is_named(img, message):
    """The checks are those of a metric, which test_input_check.py covers."""
    with pytest.raises(ValueError, match=message):
        distort(img, "jpeg", 1, rng())
    with pytest.raises(ValueError, match=message):
        ladder(img, "jpeg", rng())


@pytest.mark.parametrize("level", [0, 6, -1, True])
def test_a_wrong_level_is_named(level):
    with pytest.raises(ValueError, match="level"):
        distort(photo(), "jpeg", level, rng())
    with pytest.raises(ValueError, match="levels"):
        ladder(photo(), "jpeg", rng(), level)


def test_a_wrong_name_lists_what_is_close():
    with pytest.raises(ValueError, match="did you mean jpeg"):
        distort(photo(), "jpg", 1, rng())
    with pytest.raises(ValueError, match="choose from"):
        resolve("zzzz")


@pytest.mark.parametrize("names", [(), ("jpeg", "jpeg"), NAMES[:4]])
def test_a_wrong_composition_is_named(names):
    with pytest.raises(ValueError, match="distinct"):
        ladder(photo(), names, rng())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_agrees_with_the_cpu(name):
    img = pair()
    there = ladder(img.cuda(), name, rng(2))
    assert there.is_cuda
    assert (there.cpu() - ladder(img, name, rng(2))).abs().mean() < 1e-4
