"""The RN50 tower against CLIP's own attention pool, and what scoring and training ask of it."""

from typing import Any

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from qualiclip_metric.encoders.rn50 import MeanTokenPool, RN50Encoder


@pytest.fixture(scope="module")
def encoder() -> RN50Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RN50Encoder().eval().requires_grad_(False)


def test_trunk_is_that_of_clip(encoder: RN50Encoder) -> None:
    reference = ModifiedResNet([3, 4, 6, 3], output_dim=1024, heads=32).eval()
    reference.attnpool = nn.Identity()
    reference.load_state_dict(encoder.trunk.state_dict())
    img = torch.randn(1, 3, 97, 131)
    assert torch.equal(encoder.trunk(img), reference(img))


def pools(width: int, heads: int, side: int) -> tuple[MeanTokenPool, AttentionPool2d]:
    torch.manual_seed(1)
    reference = AttentionPool2d(side, width, heads, 24)
    torch.nn.init.zeros_(reference.positional_embedding)
    own = MeanTokenPool(width, heads, 24)
    state = reference.state_dict()
    del state["positional_embedding"]
    own.load_state_dict(state)
    return own, reference


@pytest.mark.parametrize(("width", "heads", "side"), [(32, 4, 7), (64, 1, 1), (48, 6, 3)])
def test_pool_is_the_first_output_of_full_attention(width: int, heads: int, side: int) -> None:
    own, reference = pools(width, heads, side)
    feature_map = torch.randn(3, width, side, side, requires_grad=True)
    expected = reference(feature_map)
    torch.testing.assert_close(own(feature_map), expected, atol=1e-6, rtol=1e-5)
    (theirs,) = torch.autograd.grad(expected.square().sum(), feature_map)
    (ours,) = torch.autograd.grad(own(feature_map).square().sum(), feature_map)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_pool_has_no_intermediate_that_grows_with_the_square_of_the_area() -> None:
    own, _ = pools(32, 4, 7)
    largest = 0

    class Sizes(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    positions = 40 * 50
    with torch.no_grad(), Sizes():  # type: ignore[no-untyped-call]
        own(torch.randn(1, 32, 40, 50))
    assert positions * 32 <= largest < positions**2
