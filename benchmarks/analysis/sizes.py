"""Whether the score of a photo depends on how many pixels its camera has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric.images import from_uint8, to_picture
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
    """One photo's scores.

    Attributes:
        name: Of the photo.
        megapixels: As it is.
        whole: Score of the photo as it is.
        scores: Shorter side -> score of the photo reduced to it; only for smaller sides than its
            own.
    """

    name: str
    megapixels: float
    whole: float
    scores: Mapping[int, float]


def score_at_sizes(
    score: Callable[[Tensor], Tensor],
    name: str,
    photo: Tensor,
    sides: Sequence[int] = SIDES,
    kind: str = "lanczos",
) -> PhotoSizes:
    """Score a photo as it is, and reduced to each size.

    Args:
        score: (1, 3, H, W) -> (1, 1), such as a metric of `create`.
        name: Of the photo.
        photo: (3, H, W) RGB in [0, 1].
        sides: Shorter sides, px.
        kind: Key of `FILTERS`.
    """
    with torch.inference_mode():
        scores = {
            side: float(score(reduced_photo(photo, side, kind)[None]))
            for side in sides
            if side < min(photo.shape[-2:])
        }
        whole = float(score(photo[None]))
    return PhotoSizes(name, photo[0].numel() / 1e6, whole, scores)


def reduced_photo(photo: Tensor, side: int, kind: str) -> Tensor:
    """A photo reduced to a shorter side, in 8 bits as a file of it would be.

    Args:
        photo: (3, H, W) RGB in [0, 1].
        side: Shorter side, px.
        kind: Key of `FILTERS`.
    """
    height, width = reduced_size(photo.shape[1], photo.shape[2], side)
    small = to_picture(photo).resize((width, height), FILTERS[kind])
    return from_uint8(np.asarray(small))


def score_changes(found: Sequence[PhotoSizes], side: int) -> list[float]:
    """How far each photo's score moves from a shorter side to all pixels.

    Args:
        found: From `score_at_sizes`.
        side: Shorter side, px; photos that do not exceed it are left out.
    """
    return [abs(one.whole - one.scores[side]) for one in found if side in one.scores]
