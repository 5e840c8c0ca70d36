"""Grad-CAM of a metric's cosines, by the package captum.

The graph starts at the output of the encoder's last stage, not at the image: grad-CAM needs no
gradient below it, so a map costs the memory of a score, at any size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from qualiclip_metric.extras import require
from qualiclip_metric.metric import QualiCLIP

Target = Callable[[Float[Tensor, "n pairs 2"]], Float[Tensor, " n"]]

NO_GRADIENT = (
    "grad-CAM needs the gradient at the encoder's last stage, and this encoder gives none; those "
    "that create() makes do, or use method='local', which needs none"
)


def positive(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """Grad-CAM of the mean cosine to the positive prompts."""
    return _grad_cam(metric, img, lambda cosine: cosine[:, list(pairs), 0].mean(dim=1))


def negative(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """Grad-CAM of the mean cosine to the negative prompts."""
    return _grad_cam(metric, img, lambda cosine: cosine[:, list(pairs), 1].mean(dim=1))


def difference(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """Grad-CAM of the negative less the positive cosine."""
    return _grad_cam(
        metric, img, lambda cosine: cosine[:, list(pairs)].diff(dim=-1).mean(dim=(1, 2))
    )


def _grad_cam(metric: QualiCLIP, img: Tensor, target: Target) -> Float[Tensor, "n 1 h w"]:
    """Grad-CAM at the encoder's last stage, stretched per image."""
    captum = require("captum.attr", "explain", "maps by gradient")
    trunk, stage = (getattr(metric.encoder, name, None) for name in ("trunk", "last_stage"))
    if not isinstance(trunk, nn.Module) or not isinstance(stage, nn.Module):
        raise ValueError(NO_GRADIENT)

    def asked(images: Tensor) -> Float[Tensor, " n"]:
        cosines = metric.similarities(images)
        if not cosines.requires_grad:
            raise ValueError(NO_GRADIENT)
        return target(cosines)

    with torch.enable_grad(), _frozen(metric), _graph_from(stage, trunk):
        # an image that requires a gradient keeps the encoder from its inference-only paths
        found = captum.LayerGradCam(asked, stage).attribute(
            img.clone().requires_grad_(), relu_attributions=True
        )
    cells = found.detach().float()
    return stretch(interpolate(cells, size=img.shape[2:], mode="bilinear"))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Let no parameter require a gradient."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def _graph_from(stage: nn.Module, trunk: nn.Module) -> Iterator[None]:
    """Start the graph at the output of a stage: nothing of the trunk below it is recorded."""
    hooks = (
        trunk.register_forward_pre_hook(
            lambda _module, inputs: tuple(
                x.detach() if isinstance(x, Tensor) else x for x in inputs
            )
        ),
        stage.register_forward_hook(
            lambda _module, _inputs, output: output.detach().requires_grad_()
        ),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def stretch(maps: Float[Tensor, "n 1 h w"], flat: float = 1e-12) -> Float[Tensor, "n 1 h w"]:
    """Let each map's minimum be 0 and its maximum 1.

    A map whose values differ by no more than `flat` becomes 0 everywhere, so that rounding errors
    are not magnified.
    """
    low = maps.amin(dim=(1, 2, 3), keepdim=True)
    span = maps.amax(dim=(1, 2, 3), keepdim=True) - low
    return ((maps - low) / span).where(span > flat, 0)
