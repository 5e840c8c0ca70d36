"""Undistorted photos for what is measured without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image
from torch import Tensor

from qualiclip_metric.images import find, read, to_tensor
from qualiclip_metric.sample_photos import NAMES, sample_photo

__all__ = ["pristine", "sample_photos"]

T = TypeVar("T")


def pristine(paths: Sequence[Path] | None, limit: int | None = None) -> dict[str, Tensor]:
    """Photos from files, or scikit-image's four colour photos where no path is given.

    Args:
        paths: Image files or folders.
        limit: Take no more than so many, evenly spaced in their order.

    Returns:
        Name -> (3, H, W) RGB in [0, 1].

    Raises:
        ImageError: A path is absent, or a file is no image.
    """
    if not paths:
        return sample_photos(_spaced(list(NAMES), limit))
    return {path.stem: read(path) for path in _spaced(find(paths), limit)}


def sample_photos(names: Sequence[str] = NAMES, side: int | None = None) -> dict[str, Tensor]:
    """scikit-image's colour photos.

    Args:
        names: Which of `qualiclip_metric.sample_photos.NAMES`.
        side: Longest side in pixels, to which larger photos are shrunk; None keeps them.

    Returns:
        Name -> (3, H, W) RGB in [0, 1].
    """
    photos = {}
    for name in names:
        image = Image.fromarray(sample_photo(name))
        if side is not None:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        photos[name] = to_tensor(image)
    return photos


def _spaced(items: list[T], limit: int | None) -> list[T]:
    if limit is None or limit >= len(items):
        return items
    return [items[i * len(items) // limit] for i in range(limit)]
