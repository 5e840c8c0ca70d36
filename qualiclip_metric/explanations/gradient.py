"""Grad-CAM of a metric's cosines, by the package captum.

The graph starts at the output of the encoder's last stage, not at the image: grad-CAM needs nothing
below, and a map so costs the memory of a score, at any size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from qualiclip_metric.explanations.stretch import stretch
from qualiclip_metric.metric import QualiCLIP

Target = Callable[[Float[Tensor, "n pairs 2"]], Float[Tensor, " n"]]

NO_GRADIENT = (
    "grad-CAM needs the gradient at the encoder's last stage, and this encoder gives none; those "
    "that create() makes do, or use a method without gradient: method='occlusion' or 'local'"
)


def positive(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """What says good: grad-CAM of the mean cosine to the positive prompts."""
    return _grad_cam(metric, img, lambda cosine: cosine[:, list(pairs), 0].mean(dim=1))


def negative(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """What says bad: grad-CAM of the mean cosine to the negative prompts."""
    return _grad_cam(metric, img, lambda cosine: cosine[:, list(pairs), 1].mean(dim=1))


def difference(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """What says bad rather than good: grad-CAM of the negative less the positive cosine."""
    return _grad_cam(
        metric, img, lambda cosine: cosine[:, list(pairs)].diff(dim=-1).mean(dim=(1, 2))
    )


def _grad_cam(metric: QualiCLIP, img: Tensor, target: Target) -> Float[Tensor, "n 1 h w"]:
    """Grad-CAM at the encoder's last stage, stretched per image."""
    try:
        from captum.attr import LayerGradCam
    except ImportError as err:
        raise ImportError(
            "maps by gradient need captum: pip install 'qualiclip-metric[explain]'"
        ) from err
    trunk, stage = (getattr(metric.encoder, name, None) for name in ("trunk", "last_stage"))
    if not isinstance(trunk, nn.Module) or not isinstance(stage, nn.Module):
        raise ValueError(NO_GRADIENT)

    def asked(images: Tensor) -> Float[Tensor, " n"]:
        cosines = metric.similarities(images)
        if not cosines.requires_grad:
            raise ValueError(NO_GRADIENT)
        return target(cosines)

    with torch.enable_grad(), _frozen(metric), _graph_from(stage, trunk):
        # an image that asks for a gradient keeps an encoder off its paths for inference alone
        found = LayerGradCam(asked, stage).attribute(
            img.clone().requires_grad_(), relu_attributions=True
        )
    cells = found.detach().float()
    return stretch(interpolate(cells, size=img.shape[2:], mode="bilinear"))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No parameter gets a gradient."""
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


@contextmanager
def _graph_from(stage: nn.Module, trunk: nn.Module) -> Iterator[None]:
    """Let gradients reach the output of a stage, and nothing of the trunk below it."""
    hooks = (
        trunk.register_forward_pre_hook(_cut),
        stage.register_forward_hook(lambda _module, _inputs, output: _restart(output)),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _cut(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.detach() if isinstance(x, Tensor) else x for x in inputs)


def _restart(output: Tensor) -> Tensor:
    return output.detach().requires_grad_()
