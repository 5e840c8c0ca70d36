"""Whether the score of a photo depends on how many pixels its camera has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric.images import from_array, to_picture
from qualiclip_metric.resize import reduced_size

__all__ = ["FILTERS", "SIDES", "PhotoSizes", "reduced_photo", "score_at_sizes", "score_changes"]

SIDES = (2000, 1024, 768, 512, 384)
"""Shorter sides, px, to which photos are reduced before they are scored."""
FILTERS: Mapping[str, Image.Resampling] = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
"""Filters of the reduction, all antialiased; photo software mostly uses the first."""


@dataclass(frozen=True)
class PhotoSizes:
    """One photo's scores."""

    name: str
    megapixels: float
    whole: float
    # shorter side -> score of the photo reduced to it; only for smaller sides than its own
    scores: Mapping[int, float]


def score_at_sizes(
    score: Callable[[Tensor], Tensor],
    name: str,
    photo: Tensor,
    sides: Sequence[int] = SIDES,
    kind: str = "lanczos",
) -> PhotoSizes:
    """Score a photo as it is, and reduced to each shorter side in pixels."""
    with torch.inference_mode():
        scores = {
            side: float(score(reduced_photo(photo, side, kind)[None]))
            for side in sides
            if side < min(photo.shape[-2:])
        }
        whole = float(score(photo[None]))
    return PhotoSizes(name, photo[0].numel() / 1e6, whole, scores)


def reduced_photo(photo: Tensor, side: int, kind: str) -> Tensor:
    """Reduce a photo (3, H, W) to a shorter side, in 8 bits as a file of it would be."""
    height, width = reduced_size(photo.shape[1], photo.shape[2], side)
    small = to_picture(photo).resize((width, height), FILTERS[kind])
    return from_array(np.asarray(small))


def score_changes(found: Sequence[PhotoSizes], side: int) -> list[float]:
    """List the change of score from a shorter side to all pixels, of photos larger than that."""
    return [abs(one.whole - one.scores[side]) for one in found if side in one.scores]
