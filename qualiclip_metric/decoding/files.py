"""An image file -> its pixels or its size, or one error that names the file and the reason."""

import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from qualiclip_metric.decoding.convert import RGB, WHITE, to_pixels
from qualiclip_metric.decoding.formats import CURE, is_raw, missing_package, pillow_formats

MAX_PIXELS = 178_956_970
"""Most pixels that are decoded unless told: what Pillow allows, 0.5 GB as bytes of RGB."""

MAX_REDUCED_PIXELS = 2**24
"""The same for an image once it is reduced, where that is known: a network takes more memory for a
pixel than a decoder. With `lite` only what is 64 times as long as wide comes near this."""

WHOLE_FORMATS = frozenset({"AVIF", "HEIF", "JPEG2000", "WEBP"})
WHOLE_PIXELS = MAX_PIXELS // 2
"""The same for these formats, unless max_pixels is raised: their libraries hold an image several
times, WebP's 16 bytes for a pixel."""


class ImageError(ValueError):
    """A file that could not be read as an image; the message names the file and the reason."""


@dataclass(frozen=True)
class Encoded:
    """An image file that is in memory, say from a tar shard; it is read as one on the disk is.

    Args:
        name: Where it comes from, for messages; its suffix tells a camera's raw data.
        content: The file's bytes.
    """

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


Source = str | Path | Encoded
"""A file: its path, or its content."""

OVERSIZE = 2
"""A JPEG that is scaled while it is decoded keeps at least this many times the size asked for: what
is left to reduce then decides how the outcome looks, not the decoder."""


def pixels(
    path: Source,
    background: RGB = WHITE,
    *,
    side: int = 0,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
) -> NDArray[Any]:
    """Read an image as compactly as its depth allows.

    Args:
        path: A file of any format of `formats`, or its content. Of an animation or a multi-page
            file, the first frame; of a camera's raw data, the picture as the camera balanced it.
        background: RGB in 0..255 under transparent pixels.
        side: Shorter side, px, that the image will be reduced to; 0 for none. A JPEG of at least
            `2 * OVERSIZE` times this size is then decoded at a half, a quarter or an eighth of its
            own, in a fraction of the time. An image that then still has more than
            `MAX_REDUCED_PIXELS` is refused, unless max_pixels is raised.
        max_pixels: A file whose header promises more is refused before anything is decoded.
        allow_truncated: Whether a file that ends too early is read, grey where data is missing.

    Returns:
        (H, W, 3) RGB: uint8 in 0..255, or float32 in [0, 1] where the file has more than 8 bits.

    Raises:
        ImageError: When the file is missing, damaged, truncated, too large or no image.
    """
    with _errors_about(path, max_pixels):
        if is_raw(str(path)):
            return _developed(path, max_pixels)
        with _pillow.set(allow_truncated, max_pixels), _opened(path, max_pixels) as image:
            if not allow_truncated:
                _check_rows(image)
            if side and max_pixels <= MAX_PIXELS:
                _check_reduced(path, image.width, image.height, side)
            shorter = min(image.size)
            if side and shorter > OVERSIZE * side:
                least = OVERSIZE * side / shorter
                image.draft(None, (ceil(image.width * least), ceil(image.height * least)))
            return to_pixels(image, background)


def size(path: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Read height and width from a file's header, before orientation; nothing is decoded.

    Args:
        path: As for `pixels`.
        max_pixels: As for `pixels`.

    Raises:
        ImageError: As for `pixels`, as far as the header shows it.
    """
    with _errors_about(path, max_pixels):
        if is_raw(str(path)):
            return _raw_size(path, max_pixels)
        with _pillow.set(False, max_pixels), _opened(path, max_pixels) as image:
            return image.height, image.width


@contextmanager
def _opened(path: Source, max_pixels: int) -> Iterator[Image.Image]:
    with Image.open(_readable(path), formats=pillow_formats()) as image:
        _check_size(image.width, image.height, max_pixels)
        if image.format in WHOLE_FORMATS and max_pixels <= MAX_PIXELS:
            _check_whole(path, image)
        yield image


def _readable(path: Source) -> str | Path | BytesIO:
    return BytesIO(path.content) if isinstance(path, Encoded) else path


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


def _check_whole(path: Source, image: Image.Image) -> None:
    if (count := image.width * image.height) > WHOLE_PIXELS:
        raise ImageError(
            f"{path}: {count} pixels by its header, more than the limit of {WHOLE_PIXELS} for "
            f"{image.format}; max_pixels above {MAX_PIXELS} lets it through"
        )


def _check_reduced(path: Source, width: int, height: int, side: int) -> None:
    share = min(1.0, side / min(width, height))
    if (left := round(width * share) * round(height * share)) > MAX_REDUCED_PIXELS:
        raise ImageError(
            f"{path}: {width}x{height} pixels, {left} of them left at a shorter side of {side}, "
            f"more than the limit of {MAX_REDUCED_PIXELS}; max_pixels above {MAX_PIXELS} lets it "
            "through"
        )


def _raw_size(path: Source, max_pixels: int) -> tuple[int, int]:
    import rawpy

    with rawpy.imread(_for_rawpy(path)) as raw:
        sizes = raw.sizes
        _check_size(sizes.iwidth, sizes.iheight, max_pixels)
        return sizes.iheight, sizes.iwidth


def _developed(path: Source, max_pixels: int) -> NDArray[Any]:
    """A camera's raw data as the camera balanced it, 8 bits, upright."""
    import rawpy

    with rawpy.imread(_for_rawpy(path)) as raw:
        _check_size(raw.sizes.iwidth, raw.sizes.iheight, max_pixels)
        return np.asarray(raw.postprocess(use_camera_wb=True))


def _for_rawpy(path: Source) -> str | BytesIO:
    return BytesIO(path.content) if isinstance(path, Encoded) else str(path)


@contextmanager
def _errors_about(path: Source, max_pixels: int) -> Iterator[None]:
    """Whatever goes wrong in the block becomes an `ImageError` about the file.

    Decoders of damaged files raise nearly anything (struct.error, IndexError, KeyError, ...), so
    that every exception counts as the file's fault here.
    """
    try:
        if not isinstance(path, Encoded) and not stat.S_ISREG(mode := Path(path).stat().st_mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, a named pipe or a socket"
            if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
                raise ImageError(f"{path}: a folder, and no permission to list what is in it")
            raise ImageError(f"{path}: {kind}, expected an image file")
        if package := missing_package(str(path)):
            raise ImageError(f"{path}: needs {package}; {CURE}")
        yield
    except ImageError:
        raise
    except FileNotFoundError as err:
        raise ImageError(f"{path}: no such file") from err
    except PermissionError as err:
        raise ImageError(f"{path}: no permission to read it") from err
    except UnidentifiedImageError as err:
        empty = not (len(path.content) if isinstance(path, Encoded) else Path(path).stat().st_size)
        reason = "the file is empty" if empty else "not an image, or of an unknown format"
        raise ImageError(f"{path}: {reason}") from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        count = re.search(r"\d+", str(err))
        raise ImageError(
            f"{path}: {count and count[0]} pixels by its header, more than the limit of "
            f"{max_pixels}; a larger max_pixels lets it through"
        ) from err
    except Exception as err:
        reason = str(err) or type(err).__name__
        raise ImageError(f"{path}: cannot be read as an image ({reason})") from err


class _PillowSwitches:
    """Pillow's global switches, set while files are read and restored afterwards.

    Any number of threads may read with the same values; others wait. Other packages (pyiqa among
    them) turn `LOAD_TRUNCATED_IMAGES` on for good.
    """

    def __init__(self) -> None:
        self.free = threading.Condition()
        self.inside = 0
        self.values: tuple[bool, int] = (False, 0)
        self.outside: tuple[bool, int | None] = (False, None)

    @contextmanager
    def set(self, allow_truncated: bool, max_pixels: int) -> Iterator[None]:
        """Set the switches for the block.

        Args:
            allow_truncated: Whether truncated files are read.
            max_pixels: Pixels from which Pillow itself objects, in frames within a file, too.
        """
        wanted = (allow_truncated, max_pixels)
        with self.free:
            self.free.wait_for(lambda: not self.inside or self.values == wanted)
            if not self.inside:
                self.values = wanted
                self.outside = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
                ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = wanted
            self.inside += 1
        try:
            yield
        finally:
            with self.free:
                self.inside -= 1
                if not self.inside:
                    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = self.outside
                    self.free.notify_all()


_pillow = _PillowSwitches()
