"""Maps of where an image is bad: (N, 3, H, W) -> (N, 1, H, W) in [0, 1].

`METHODS` is the table of maps. In all of them a high value means BAD, except in `positive`, where
it means good.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from qualiclip_metric.explanations import gradient, local, positions
from qualiclip_metric.explanations.pairs import chosen
from qualiclip_metric.input_check import check_shape, check_values
from qualiclip_metric.metric import QualiCLIP

__all__ = ["METHODS", "Method", "explain"]

Method = Callable[[QualiCLIP, Tensor, Sequence[int]], Tensor]
"""Metric, images on its device, indices of antonym pairs -> maps, detached."""

METHODS: dict[str, Method] = {
    "positive": gradient.positive,
    "negative": gradient.negative,
    "difference": gradient.difference,
    "local": local.local,
    "positions": positions.positions,
    "shares": positions.shares,
}
"""Name -> map. The first three are grad-CAM, the others need no gradient."""


def explain(
    metric: QualiCLIP,
    img: Tensor,
    *,
    pair: int | str | None = None,
    method: str = "local",
) -> Tensor:
    """Compute maps of the places that speak for or against an image's quality.

    - `positive`: grad-CAM of the cosine to the positive prompts; high where the image says GOOD.
      Stretched per image: the map's own minimum and maximum become 0 and 1.
    - `negative`: grad-CAM of the cosine to the negative prompts; high where the image says BAD.
      Stretched per image.
    - `difference`: grad-CAM of the negative less the positive cosine; high where the image says BAD
      rather than good. Stretched per image.
    - `local`: 1 less the score of overlapping windows around each pixel; NOT stretched, in units
      of the score, so that maps of several images compare.
    - `positions`: 1 less the score of each position of `lite`'s grid alone, exact and from a single
      forward pass; NOT stretched, in units of the score.
    - `shares`: the same times the weight of the position in the image, over the largest.

    A stretched map that is the same everywhere is 0 everywhere.

    Args:
        metric: As `create` gives it, in evaluation mode, on any device, in any precision.
        img: RGB in [0, 1], (N, 3, H, W), at least 32 pixels on each side, on any device.
        pair: Antonym pair to ask: its index, its name as `prompts.pair_name` writes it
            ("Sharp/Blurry image"), or one of its two texts ("Blurry image."); upper or lower case
            and the full stop do not matter. None for the mean over all pairs.
        method: Key of `METHODS`. In `lite`, `local`, `positions` and `shares` find faults best, and
            grad-CAM hardly does (docs/lab/explanations.md).

    Returns:
        (N, 1, H, W) float32 in [0, 1], detached, on the image's device. The map of an image depends
        on no other image of the batch, and the metric is left as it was.

    Raises:
        ValueError: When an argument is wrong, the metric is in training mode, or the encoder gives
            no gradient to a method that needs it.
        ImportError: When grad-CAM's package is missing, with the cure.

    Example:
        >>> from qualiclip_metric import create, read
        >>> explain(create("lite"), read("photo.jpg")[None], method="local").shape
        torch.Size([1, 1, 96, 128])

    Grad-CAM: Selvaraju et al., arXiv 1610.02391; on QualiCLIP, arXiv 2403.11176, section 4.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if not isinstance(metric, QualiCLIP):
        raise ValueError(
            "metric: expected a QualiCLIP, as qualiclip_metric.create() makes it, "
            f"got {type(metric).__name__}"
        )
    check_shape(img)
    if metric.check_input:
        check_values(img.detach())
    if _trains(metric):
        raise ValueError("metric: in training mode, where scores differ; call metric.eval() first")
    pairs = chosen(metric, pair)
    with torch.inference_mode(False), torch.no_grad():
        images = img.detach().to(metric.device, torch.float32, copy=img.is_inference())
        maps = METHODS[method](metric, images, pairs)
        return maps.clamp(0, 1).to(img.device)


def _trains(metric: nn.Module) -> bool:
    return any(module.training for module in metric.modules())
