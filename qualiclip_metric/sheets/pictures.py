"""Small pictures inside pages: pixels as data URIs, thumbnails of files."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.images import pixels

THUMBNAIL = 160
"""Longer side of a thumbnail, px."""


def data_uri(picture: NDArray[Any], side: int, form: str = "JPEG") -> str:
    """A picture as a data URI.

    Args:
        picture: (h, w, 3) RGB, uint8.
        side: Most pixels on the longer side; a larger picture is reduced.
        form: What Pillow writes: JPEG, PNG or WEBP.
    """
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, form, quality=80)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def thumbnail(path: str | Path, side: int = THUMBNAIL) -> str:
    """A file's picture as a small data URI; a JPEG is reduced while it is decoded.

    Args:
        path: Any image that the package reads.
        side: Longer side, px.

    Raises:
        ImageError: When it cannot be read.
    """
    return data_uri(as_bytes(pixels(path, side=side)), side)


def as_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w, 3) RGB, uint8 in 0..255 or floats in [0, 1] -> uint8."""
    if picture.dtype == np.uint8:
        return picture
    return np.asarray((picture * 255).round().clip(0, 255), np.uint8)
