"""Undistorted photos for what is measured without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.images import find, read, to_tensor
from qualiclip_metric.sample_photos import NAMES, sample_photo

__all__ = ["pristine", "sample_photos", "shrunk"]

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
    return {path.stem: read(path, colour="raw") for path in _spaced(find(paths), limit)}


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
        photos[name] = to_tensor(image, colour="raw")
    return photos


def shrunk(photo: Tensor, side: int | None) -> Tensor:
    """A photo reduced to a longer side, antialiased.

    Args:
        photo: (3, H, W) in [0, 1].
        side: Longest side in pixels; photos that are no larger, and all where it is None, are
            given back as they are.

    Returns:
        (3, h, w) in [0, 1].
    """
    longer = max(photo.shape[-2:])
    if side is None or longer <= side:
        return photo
    size = [round(n * side / longer) for n in photo.shape[-2:]]
    return interpolate(photo[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _spaced(items: list[T], limit: int | None) -> list[T]:
    if limit is None or limit >= len(items):
        return items
    return [items[i * len(items) // limit] for i in range(limit)]
