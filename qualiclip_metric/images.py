"""Images as tensors, and image files in folders: what the rest of the package reads them with."""

from collections.abc import Iterable
from contextlib import suppress
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qualiclip_metric.decoding import FORMATS, RGB, WHITE, ImageError, pixels, size, to_pixels

__all__ = [
    "FORMATS",
    "RGB",
    "SUFFIXES",
    "WHITE",
    "ImageError",
    "find",
    "from_uint8",
    "pixels",
    "read",
    "size",
    "to_picture",
    "to_pixels",
    "to_tensor",
    "to_uint8",
]

SUFFIXES = frozenset(
    ".avif .bmp .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pgm"
    " .png .pnm .ppm .qoi .tga .tif .tiff .webp".split()
)
"""Suffixes, in lower case, that make a file in a folder an image."""


def read(path: str | Path, background: RGB = WHITE) -> Float[Tensor, "3 h w"]:
    """Read an image as a viewer would show it.

    Args:
        path: File of any of `FORMATS`. Of an animation or a multi-page file, the first frame.
        background: RGB in 0..255 under transparent pixels.

    Returns:
        (3, H, W), float32 RGB in [0, 1].

    Raises:
        ImageError: When the file is missing, damaged, truncated or no image.
    """
    return _to_tensor(pixels(path, background))


def to_tensor(image: Image.Image, background: RGB = WHITE) -> Float[Tensor, "3 h w"]:
    """Convert a Pillow image of any mode, turned upright.

    Args:
        image: The image; it stays as it is.
        background: RGB in 0..255 under transparent pixels.

    Returns:
        (3, H, W), float32 RGB in [0, 1].

    Raises:
        ValueError: When values of more than 8 bits are not finite, or lie outside [0, 1].
    """
    copy = image.copy()
    with suppress(Exception):  # a copy of a TIFF has no EXIF; damaged EXIF raises anything
        copy.info.setdefault("exif", image.getexif().tobytes())
    return _to_tensor(to_pixels(copy, background))


def to_uint8(img: Tensor) -> UInt8[Tensor, "*shape"]:
    """RGB in [0, 1] -> bytes of the same shape: rounded, what lies outside is clipped."""
    return img.detach().float().mul(255).round().clamp(0, 255).to("cpu", torch.uint8)


def to_picture(img: Float[Tensor, "3 h w"]) -> Image.Image:
    """RGB in [0, 1] -> an 8-bit Pillow image."""
    return Image.fromarray(to_uint8(img).permute(1, 2, 0).contiguous().numpy())


def from_uint8(array: NDArray[np.uint8]) -> Float[Tensor, "3 h w"]:
    """(H, W, 3) bytes -> (3, H, W) float32 RGB in [0, 1]."""
    return _to_tensor(array)


def _to_tensor(array: NDArray[Any]) -> Float[Tensor, "3 h w"]:
    scale = 255 if array.dtype == np.uint8 else 1
    return torch.tensor(array).permute(2, 0, 1).contiguous().float() / scale


def find(paths: Iterable[str | Path], recursive: bool = True, *, unique: bool = True) -> list[Path]:
    """Image files named by files, folders and glob patterns, in a stable order.

    Args:
        paths: Files are taken whatever their suffix (so a wrong one is reported, not skipped), and
            so is what a pattern matches (it may use `**`); folders give the files with an image
            suffix, hidden ones left out.
        recursive: Whether folders are entered to any depth.
        unique: Whether a file that is named several times is listed once.

    Returns:
        Paths in the order of the arguments, sorted within a folder or a pattern.

    Raises:
        ValueError: When a name is empty, or a pattern or a folder holds no image.
    """
    found: list[Path] = []
    for name in paths:
        if not str(name):
            raise ValueError("expected a file, a folder or a pattern, got an empty name")
        path = Path(name)
        if path.is_dir():
            files = _in_folder(path, recursive)
        elif has_magic(str(name)) and not path.exists():
            files = [p for p in map(Path, sorted(glob(str(name), recursive=True))) if p.is_file()]
        else:
            files = [path]
        if not files:
            raise ValueError(f"{name}: no image found; looked for {' '.join(sorted(SUFFIXES))}")
        found += files
    return list(dict.fromkeys(found)) if unique else found


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    entries = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        p
        for p in entries
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
        and p.is_file()
    )
