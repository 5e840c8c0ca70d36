"""Pictures inside HTML: data URIs, and thumbnails of files and of images in memory."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.images import ImageError, pixels

THUMBNAIL = 160
"""Longer side of a thumbnail, px."""


def data_uri(picture: NDArray[Any], side: int, form: str = "JPEG", **options: Any) -> str:
    """Encode a picture, uint8 RGB in 0..255 or floats in [0, 1], as a data URI.

    `side` is the longer side in px; a smaller picture keeps its size. `options` are those of
    Pillow's `Image.save`; default: quality=80.
    """
    if picture.dtype != np.uint8:
        picture = np.asarray((picture * 255).round().clip(0, 255), np.uint8)
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, form, **({"quality": 80} | options))
    return encoded(out.getvalue(), form)


def encoded(content: bytes, form: str) -> str:
    """Turn the content of an image file of a format such as JPEG into a data URI."""
    return f"data:image/{form.lower()};base64,{base64.b64encode(content).decode()}"


def thumbnail(path: str | Path, side: int = THUMBNAIL, form: str = "JPEG", **options: Any) -> str:
    """Read an image file and encode it as `data_uri` does; a JPEG is reduced during decoding."""
    return data_uri(pixels(path, side=side), side, form, **options)


def thumbnail_if_readable(path: str | Path, side: int = THUMBNAIL) -> str:
    """Return the thumbnail of an image file; empty for a URL and for a file that is gone or bad."""
    try:
        return thumbnail(path, side)
    except ImageError:
        return ""
