"""Images as tensors, and the image files of folders and patterns."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qualiclip_metric.decoding import (
    MAX_PIXELS,
    RGB,
    WHITE,
    Colour,
    ImageError,
    Source,
    pixels,
    size,
    to_pixels,
)
from qualiclip_metric.decoding.convert import copy_with_exif
from qualiclip_metric.decoding.formats import CURE, SUFFIXES, is_image, missing_package

__all__ = [
    "MAX_PIXELS",
    "RGB",
    "SUFFIXES",
    "WHITE",
    "Colour",
    "Found",
    "ImageError",
    "find",
    "find_images",
    "from_uint8",
    "nothing_found",
    "pixels",
    "read",
    "size",
    "to_picture",
    "to_pixels",
    "to_tensor",
    "to_uint8",
    "walk",
]


def read(
    path: Source,
    background: RGB = WHITE,
    *,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    colour: Colour = "srgb",
) -> Float[Tensor, "3 h w"]:
    """Read an image as a viewer would show it.

    Args:
        path: A file of any format of `decoding.formats`, or its content (`decoding.Encoded`). Of an
            animation or a multi-page file, the first frame; of a camera's raw data, the picture as
            the camera balanced it.
        background: sRGB in 0..255 under transparent pixels.
        max_pixels: A file whose header states more is refused before anything is decoded.
        allow_truncated: Whether a file that ends too early is read, grey where data is missing.
        colour: `srgb` converts colours to sRGB by the file's profile, as viewers do, and tone-maps
            HDR; `raw` keeps the file's numbers, as pyiqa does.

    Returns:
        (3, H, W), float32 RGB in [0, 1].

    Raises:
        ImageError: When the file is missing, damaged, truncated, too large or no image.

    Example:
        >>> read("photo.jpg").shape  # 128 px wide, 96 px high
        torch.Size([3, 96, 128])
    """
    array = pixels(
        path, background, max_pixels=max_pixels, allow_truncated=allow_truncated, colour=colour
    )
    return _to_tensor(array)


def to_tensor(
    image: Image.Image, background: RGB = WHITE, colour: Colour = "srgb"
) -> Float[Tensor, "3 h w"]:
    """Convert a Pillow image of any mode, turned upright, to (3, H, W), float32 RGB in [0, 1].

    Raises ValueError when values of more than 8 bits are not finite, or lie outside [0, 1].
    """
    return _to_tensor(to_pixels(copy_with_exif(image), background, colour))


def to_uint8(img: Tensor) -> UInt8[Tensor, "*shape"]:
    """RGB in [0, 1] -> bytes of the same shape, rounded; values outside are clipped."""
    return img.detach().float().mul(255).round().clamp(0, 255).to("cpu", torch.uint8)


def to_picture(img: Float[Tensor, "3 h w"]) -> Image.Image:
    """RGB in [0, 1] -> an 8-bit Pillow image."""
    return Image.fromarray(to_uint8(img).permute(1, 2, 0).contiguous().numpy())


def from_uint8(array: NDArray[np.uint8]) -> Float[Tensor, "3 h w"]:
    """(H, W, 3) bytes -> (3, H, W) float32 RGB in [0, 1]."""
    return _to_tensor(array)


def _to_tensor(array: NDArray[Any]) -> Float[Tensor, "3 h w"]:
    scale = 255 if array.dtype == np.uint8 else 1
    # torch knows no negative strides, which array[:, :, ::-1] has
    return torch.tensor(np.ascontiguousarray(array)).permute(2, 0, 1).contiguous().float() / scale


LINKED_FOLDERS = "links to folders"
"""Key of `Found.left_out` that counts them."""


class Found(NamedTuple):
    """Image files, sorted within a folder or a pattern, and what was left out of folders.

    `left_out` counts files by the suffix that needs a missing package, and under `LINKED_FOLDERS`
    the links to folders, which are not entered.
    """

    files: list[Path]
    left_out: Counter[str]

    def note(self) -> str | None:
        """One line about the files left out, with the cure; None if there are none."""
        notes = []
        unread = sorted(set(self.left_out) - {LINKED_FOLDERS})
        if unread:
            kinds = ", ".join(f"{self.left_out[suffix]} {suffix}" for suffix in unread)
            notes.append(f"left out, a package that reads them is missing: {kinds}; {CURE}")
        if links := self.left_out[LINKED_FOLDERS]:
            notes.append(f"left out: {LINKED_FOLDERS} ({links}); name those that are to be entered")
        return "; ".join(notes) or None


def find(paths: Iterable[str | Path], recursive: bool = True) -> list[Path]:
    """Image files named by files, folders and glob patterns, in a stable order, each once.

    See `find_images`.
    """
    return list(dict.fromkeys(find_images(paths, recursive).files))


def find_images(paths: Iterable[str | Path], recursive: bool = True) -> Found:
    """Image files named by files, folders and glob patterns, in a stable order.

    A file, and whatever a pattern matches (it may use `**`), is taken with any suffix, so that a
    wrong one is reported; of folders, the files that `walk` finds. Raises ValueError when a name is
    empty, or a pattern or a folder holds no image.
    """
    found = Found([], Counter())
    for name in paths:
        if not str(name):
            raise ValueError("expected a file, a folder or a pattern, got an empty name")
        path = Path(name)
        if path.is_dir():
            files = list(walk(path, recursive, found.left_out))
        elif has_magic(str(name)) and not path.exists():
            files = [p for p in map(Path, sorted(glob(str(name), recursive=True))) if p.is_file()]
        else:
            files = [path]
        if not files:
            raise ValueError(nothing_found(name, found.left_out))
        found.files.extend(files)
    return found


def nothing_found(name: object, left_out: Counter[str]) -> str:
    """Write the message about a folder or a pattern that holds no image."""
    reason = Found([], left_out).note() or f"looked for {' '.join(sorted(SUFFIXES))}"
    return f"{name}: no image found; {reason}"


def walk(
    folder: str | Path, recursive: bool = True, left_out: Counter[str] | None = None
) -> Iterator[Path]:
    """Yield the image files of a folder, sorted, without hidden ones; links to folders stay closed.

    A folder that cannot be listed and a broken link are among them, so that reading them reports an
    error. The names of one folder at a time are in memory.
    """
    left_out = Counter() if left_out is None else left_out
    names, folders = [], set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif is_image(entry.name):
                    names.append(entry.name)
                elif recursive and entry.is_symlink() and entry.is_dir():
                    left_out[LINKED_FOLDERS] += 1
    except OSError:
        yield Path(folder)
        return
    for name in sorted([*names, *folders] if recursive else names):
        path = Path(folder, name)
        if name in folders:
            yield from walk(path, recursive, left_out)
        elif missing_package(path):
            left_out[path.suffix.lower()] += 1
        elif not _is_special_file(path):
            yield path


def _is_special_file(path: Path) -> bool:
    """Whether the path is a device, a pipe or a link to a folder; False where unknown."""
    try:
        return not path.is_file() and path.exists()
    except OSError:
        return False
