"""An image file -> its pixels or its size, or one error that names the file and the reason."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from qualiclip_metric.decoding import with_pillow
from qualiclip_metric.decoding.colour import Colour
from qualiclip_metric.decoding.convert import RGB, WHITE, to_pixels
from qualiclip_metric.decoding.formats import (
    CAMERA_RAW,
    CURE,
    HEAD,
    format_of,
    has_raw_suffix,
    installed,
    missing_package,
)
from qualiclip_metric.decoding.source import (
    Encoded,
    ImageError,
    Source,
    byte_count,
    open_binary,
)
from qualiclip_metric.limits import MAX_PIXELS

MAX_RESIZED_PIXELS = 2**24
"""Most pixels of an image after it is resized to the scoring size: a network takes more memory for
a pixel than a decoder. With `lite` only an image 64 times as long as wide comes near this."""

WHOLE_FORMATS = frozenset({"AVIF", "HEIF", "JPEG2000", "WEBP"})
WHOLE_PIXELS = MAX_PIXELS // 2
"""Limit for these formats, unless max_pixels is raised: their libraries hold an image several
times, WebP's 16 bytes for a pixel."""

OVERSIZE = 2
"""A JPEG that is scaled while it is decoded keeps at least this many times the size asked for: the
resizing that follows decides how the outcome looks, not the decoder."""


def pixels(
    path: Source,
    background: RGB = WHITE,
    *,
    side: int = 0,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    colour: Colour = "srgb",
) -> NDArray[Any]:
    """Read an image as compactly as its depth allows: (H, W, 3) RGB; see `images.read`.

    uint8 in 0..255, or float32 in [0, 1] where a grey file has more than 8 bits. `side` is the
    shorter side in px that the image will be resized to; 0 for none. A JPEG of at least `2 *
    OVERSIZE` times this size is then decoded at a half, a quarter or an eighth of its own, in a
    fraction of the time. An image that then still has more than `MAX_RESIZED_PIXELS` is refused,
    unless max_pixels is raised.
    """
    with _errors_about(path, max_pixels), _opened(path, max_pixels, allow_truncated) as file:
        if side and max_pixels <= MAX_PIXELS:
            _check_resized(path, file.width, file.height, side)
        return to_pixels(file.decode(side), background, colour)


def size(
    path: Source, *, max_pixels: int = MAX_PIXELS, allow_truncated: bool = False
) -> tuple[int, int]:
    """Read height and width from a file's header, before orientation; nothing is decoded.

    `allow_truncated` is one of Pillow's global switches: threads with different values wait for
    each other.
    """
    with _errors_about(path, max_pixels), _opened(path, max_pixels, allow_truncated) as file:
        return file.height, file.width


@dataclass(frozen=True)
class _Opened:
    """A file whose header has been read, with its size before orientation.

    `decode` takes the shorter side that the image will be resized to, see `pixels`.
    """

    width: int
    height: int
    decode: Callable[[int], Image.Image]


@contextmanager
def _opened(source: Source, max_pixels: int, allow_truncated: bool) -> Iterator[_Opened]:
    """Read the header with the library that reads this file right, chosen by its content."""
    with open_binary(source) as file:
        head = file.read(HEAD)
    if (library := _other_library(source, head)) is not None:
        width, height = library.size(source)
        _check_size(width, height, max_pixels)
        yield _Opened(width, height, lambda _: library.decode(source, allow_truncated))
        return
    with (
        with_pillow.switches.set(allow_truncated, max_pixels),
        with_pillow.open_image(source, head) as image,
    ):
        _check_size(image.width, image.height, max_pixels)
        count, whole = image.width * image.height, image.format in WHOLE_FORMATS
        if whole and count > WHOLE_PIXELS and max_pixels <= MAX_PIXELS:
            raise ImageError(
                f"{source}: {count} pixels by its header, more than the limit of {WHOLE_PIXELS} "
                f"for {image.format}; max_pixels above {MAX_PIXELS} lets it through"
            )
        decode = partial(_by_pillow, image, source, allow_truncated)
        yield _Opened(image.width, image.height, decode)


def _other_library(source: Source, head: bytes) -> Any:
    """Choose the module that reads a file which Pillow does not; None where Pillow does."""
    if (name := format_of(head)) not in ("RAW", "TIFF"):
        return None
    from qualiclip_metric.decoding import with_tifffile

    if name == "TIFF" and not has_raw_suffix(str(source)) and not with_tifffile.is_raw(source):
        return None if with_tifffile.pillow_reads(source) else with_tifffile
    if not installed(CAMERA_RAW.package):
        raise ImageError(f"{source}: raw data of a camera needs {CAMERA_RAW.package}; {CURE}")
    from qualiclip_metric.decoding import with_rawpy

    return with_rawpy


def _by_pillow(image: Image.Image, source: Source, allow_truncated: bool, side: int) -> Image.Image:
    if not allow_truncated:
        _check_rows(image)
    shorter = min(image.size)
    if side and shorter > OVERSIZE * side:
        least = OVERSIZE * side / shorter
        image.draft(None, (ceil(image.width * least), ceil(image.height * least)))
    return with_pillow.mended(image, source)


def _check_rows(image: Image.Image) -> None:
    """Refuse a TIFF whose strips or tiles end above its last row: Pillow makes the rest black."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    # as stored: the image's own height is that after its orientation
    rows = image.tag_v2.get(TiffImagePlugin.IMAGELENGTH, image.height)
    bottom = max((tile[1][3] for tile in image.tile if tile[1]), default=rows)
    if bottom < rows:
        raise ValueError(f"truncated: data for {bottom} of its {rows} rows")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Image.DecompressionBombError(f"{width * height} pixels")


def _check_resized(path: Source, width: int, height: int, side: int) -> None:
    share = min(1.0, side / min(width, height))
    if (left := round(width * share) * round(height * share)) > MAX_RESIZED_PIXELS:
        raise ImageError(
            f"{path}: {width}x{height} pixels, {left} of them left at a shorter side of {side}, "
            f"more than the limit of {MAX_RESIZED_PIXELS}; max_pixels above {MAX_PIXELS} lets it "
            "through"
        )


@contextmanager
def _errors_about(path: Source, max_pixels: int) -> Iterator[None]:
    """Turn any exception of the block into an `ImageError` about the file.

    Decoders of damaged files raise nearly anything (struct.error, IndexError, KeyError, ...).
    """
    try:
        if not isinstance(path, Encoded) and not stat.S_ISREG(mode := Path(path).stat().st_mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, a named pipe or a socket"
            if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
                raise ImageError(f"{path}: a folder, and no permission to list what is in it")
            raise ImageError(f"{path}: {kind}, expected an image file")
        yield
    except ImageError:
        raise
    except FileNotFoundError as err:
        raise ImageError(f"{path}: no such file") from err
    except PermissionError as err:
        raise ImageError(f"{path}: no permission to read it") from err
    except UnidentifiedImageError as err:
        package = missing_package(str(path))
        reason = f"needs {package}; {CURE}" if package else "not an image, or of an unknown format"
        raise ImageError(f"{path}: {reason if byte_count(path) else 'the file is empty'}") from err
    except Image.DecompressionBombError as err:
        count = re.search(r"\d+", str(err))
        raise ImageError(
            f"{path}: {count and count[0]} pixels by its header, more than the limit of "
            f"{max_pixels}; a larger max_pixels lets it through"
        ) from err
    except Exception as err:
        raise ImageError(f"{path}: cannot be read as an image ({_reason(err)})") from err


def _reason(err: Exception) -> str:
    """The message of a library's error: text, also where the library gives bytes."""
    words = err.args[0] if err.args else ""
    if isinstance(words, bytes):
        return words.decode(errors="replace")
    return str(err) or type(err).__name__
