"""Thumbnails as data URIs: turned upright, shrunk, flattened."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric.images import ImageError
from qualiclip_metric.pages.pictures import data_uri, thumbnail


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_thumbnails_shrink_flatten_and_stand_upright(tmp_path: Path) -> None:
    Image.new("RGBA", (200, 100), (0, 0, 0, 0)).save(tmp_path / "a.png")
    shown = decoded(thumbnail(tmp_path / "a.png", 50, "PNG"))
    assert shown.size == (50, 25)
    assert shown.getpixel((5, 5)) == (255, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "b.jpg", exif=exif)
    assert decoded(thumbnail(tmp_path / "b.jpg", 60)).size == (30, 60)
    with pytest.raises(ImageError, match=r"absent\.png"):
        thumbnail(tmp_path / "absent.png")


def test_floats_and_bytes_give_the_same_picture() -> None:
    grey = np.full((8, 8, 3), 51, np.uint8)
    assert data_uri(grey, 8, "PNG") == data_uri(grey.astype(np.float32) / 255, 8, "PNG")
