"""An image file -> its pixels or its size, or one error that names the file and the reason."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from qualiclip_metric.decoding.convert import RGB, WHITE, to_pixels

FORMATS = tuple("AVIF BMP DIB GIF ICO JPEG JPEG2000 PCX PNG PPM QOI SGI TGA TIFF WEBP".split())
"""Formats that are decoded, told by content. Pillow's others call programs or hold no photos."""


class ImageError(ValueError):
    """A file that could not be read as an image; the message names the file and the reason."""


def pixels(path: str | Path, background: RGB = WHITE) -> NDArray[Any]:
    """Read an image as compactly as its depth allows.

    Args:
        path: File of any of `FORMATS`. Of an animation or a multi-page file, the first frame.
        background: RGB in 0..255 under transparent pixels.

    Returns:
        (H, W, 3) RGB: uint8 in 0..255, or float32 in [0, 1] where the file has more than 8 bits.

    Raises:
        ImageError: When the file is missing, damaged, truncated or no image.
    """
    with _opened(path) as image:
        return to_pixels(image, background)


def size(path: str | Path) -> tuple[int, int]:
    """Height and width from a file's header, before orientation; nothing is decoded.

    Raises:
        ImageError: As for `pixels`, as far as the header shows it.
    """
    with _opened(path) as image:
        return image.height, image.width


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong in the block becomes an `ImageError` about the file.

    Decoders of damaged files raise nearly anything (struct.error, IndexError, KeyError, ...), so
    that every exception counts as the file's fault here.
    """
    try:
        with _truncated_files_are_errors, Image.open(path, formats=_formats()) as image:
            yield image
    except FileNotFoundError as err:
        raise ImageError(f"{path}: no such file") from err
    except IsADirectoryError as err:
        raise ImageError(f"{path}: a folder, expected an image file") from err
    except PermissionError as err:
        raise ImageError(f"{path}: no permission to read it") from err
    except UnidentifiedImageError as err:
        empty = Path(path).stat().st_size == 0
        reason = "the file is empty" if empty else "not an image, or of an unknown format"
        raise ImageError(f"{path}: {reason}") from err
    except Exception as err:
        reason = str(err) or type(err).__name__
        raise ImageError(f"{path}: cannot be read as an image ({reason})") from err


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class _TruncatedFilesAreErrors:
    """While entered, in any number of threads, a truncated file is an error.

    Pillow's switch for it is global, and other packages (pyiqa among them) turn it on for good.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.outside = threading.Lock(), 0, False

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.outside = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = self.outside


_truncated_files_are_errors = _TruncatedFilesAreErrors()
