"""Undistorted photos for what is measured without labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.images import read, to_tensor
from qualiclip_metric.sample_photos import NAMES, sample_photo
from qualiclip_metric.sources.folders import find

__all__ = ["pristine", "sample_photos", "shrunk"]

T = TypeVar("T")


def pristine(
    paths: Sequence[Path] | None, limit: int | None = None, least: int = 0
) -> dict[str, Tensor]:
    """Read photos (3, H, W) from files or folders, or scikit-image's four colour photos.

    ``limit`` takes no more than so many, evenly spaced in their order. ValueError if one has a
    side of fewer than ``least`` pixels.
    """
    if not paths:
        return sample_photos(_spaced(list(NAMES), limit))
    photos = {path.stem: read(path, colour="raw") for path in _spaced(find(paths), limit)}
    for name, photo in photos.items():
        if min(photo.shape[-2:]) < least:
            raise ValueError(
                f"{name}: expected at least {least}x{least} px, got {tuple(photo.shape[-2:])}"
            )
    return photos


def sample_photos(names: Sequence[str] = NAMES, side: int | None = None) -> dict[str, Tensor]:
    """Load scikit-image's colour photos, shrunk to a longest side in pixels if one is given."""
    photos = {}
    for name in names:
        image = Image.fromarray(sample_photo(name))
        if side is not None:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        photos[name] = to_tensor(image, colour="raw")
    return photos


def shrunk(photo: Tensor, side: int | None) -> Tensor:
    """Reduce a photo to a longest side in pixels, antialiased; smaller photos stay as they are."""
    longer = max(photo.shape[-2:])
    if side is None or longer <= side:
        return photo
    size = [round(n * side / longer) for n in photo.shape[-2:]]
    return interpolate(photo[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _spaced(items: list[T], limit: int | None) -> list[T]:
    if limit is None or limit >= len(items):
        return items
    return [items[i * len(items) // limit] for i in range(limit)]
