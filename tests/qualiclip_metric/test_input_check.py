"""Values and weights that give no valid score are refused: images, losses, precision, autocast."""

import copy
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from qualiclip_metric import QualiCLIP, create, explain
from qualiclip_metric.input_check import LOSS_RANGE, TOLERANCE, check_values

NAN, INF = float("nan"), float("inf")
ENGINES = ["torch", *(["openvino"] if find_spec("openvino") else [])]


def batch(seed: int = 0) -> Tensor:
    return torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(seed))


def with_value(value: float, place: tuple[int, ...] = (1, 2, 3, 4)) -> Tensor:
    img = batch()
    img[place] = value
    return img


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (NAN, "find what computed it"),
        (INF, "find what computed it"),
        (-INF, "find what computed it"),
        (200.0, "img / 255"),
        (1.2, r"img\.clamp\(0, 1\)"),
        (-0.4, "not normalised"),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_wrong_value_is_refused_with_its_place(
    tiny: QualiCLIP, value: float, cure: str, layout: torch.memory_format
) -> None:
    img = with_value(value).contiguous(memory_format=layout)
    message = rf"got {value:g} at image 1 of the batch, channel 2, row 3, column 4; .*{cure}"
    for ask in (tiny, tiny.similarities, tiny.probabilities):
        with pytest.raises(ValueError, match=message):
            ask(img)
    with pytest.raises(ValueError, match=message):
        explain(tiny, img)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_passes_in_every_type(tiny: QualiCLIP, dtype: torch.dtype) -> None:
    img = batch().to(dtype)
    img[0, 0, 0, 0] = -0.9 * TOLERANCE
    img[0, 0, 0, 1] = 1 + 0.9 * TOLERANCE
    assert torch.isfinite(tiny(img)).all()
    with pytest.raises(ValueError, match=r"got 1\.0"):
        tiny(with_value(1 + 20 * TOLERANCE).to(dtype))


def test_the_check_can_be_switched_off(tiny: QualiCLIP, random_lite: Path) -> None:
    tiny.check_input = False
    assert tiny(with_value(7.0)).shape == (3, 1)
    assert create(random_lite, check_input=False).check_input is False
    assert create(random_lite).check_input is True


# --- losses ----------------------------------------------------------------------------------


def test_a_loss_takes_what_a_network_gives_while_it_learns(tiny: QualiCLIP) -> None:
    img = (batch() * 2.8 - 0.9).requires_grad_()
    score = tiny(img)
    score.sum().backward()
    assert img.grad is not None
    assert torch.isfinite(img.grad).all()
    tiny.check_input = False
    torch.testing.assert_close(score, tiny(img.detach()))  # as they are, not clipped


@pytest.mark.parametrize("value", [NAN, INF, LOSS_RANGE[0] - 0.1, LOSS_RANGE[1] + 0.1])
def test_a_loss_takes_no_more_than_that(tiny: QualiCLIP, value: float) -> None:
    with pytest.raises(ValueError, match=r"\[-1, 2\]"):
        tiny(with_value(value).requires_grad_())


def test_without_a_gradient_the_range_is_that_of_images(tiny: QualiCLIP) -> None:
    img = with_value(1.5).requires_grad_()
    with torch.no_grad(), pytest.raises(ValueError, match=r"\[0, 1\]"):
        tiny(img)


def test_exported_graphs_hold_no_check(tiny: QualiCLIP) -> None:
    exported = torch.export.export(tiny, (batch(),)).module()
    torch.testing.assert_close(exported(batch(1)), tiny(batch(1)))
    check_values(torch.empty(1, 3, 40, 40, device="meta"))


# --- precision -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_name_what_to_use(
    random_lite: Path, engine: str, dtype: torch.dtype
) -> None:
    metric = create(random_lite, engine=engine).to(dtype)
    with pytest.raises(ValueError, match=f"weights are {dtype}.*create.*precision='bf16'"):
        metric(batch())


@pytest.mark.parametrize("engine", ENGINES)
def test_double_weights_score_the_same(random_lite: Path, engine: str) -> None:
    metric = create(random_lite, engine=engine)
    double = copy.deepcopy(metric).double()
    torch.testing.assert_close(double(batch()), metric(batch()).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_metric_without_weights_says_so(random_lite: Path, engine: str) -> None:
    metric = create(random_lite, engine=engine).to("meta")
    with pytest.raises(ValueError, match="meta"):
        metric(batch())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gradient", [False, True])
def test_autocast_changes_no_score(random_lite: Path, engine: str, gradient: bool) -> None:
    metric = create(random_lite, engine=engine)
    img = batch().requires_grad_(gradient)
    expected = metric(img)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(metric(img), expected)
