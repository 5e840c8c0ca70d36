"""Image files in memory are read as those on the disk: pixels, sizes, limits, errors."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import decoding
from qualiclip_metric.decoding import Encoded, ImageError


def encoded(path: Path) -> Encoded:
    return Encoded(f"shard.tar/{path.name}", path.read_bytes())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif"])
def test_pixels_and_size_are_those_of_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((480, 400)).save(path, exif=exif)
    held = encoded(path)
    assert decoding.size(held) == decoding.size(path)
    for side in (0, 64):
        np.testing.assert_array_equal(
            decoding.pixels(held, side=side), decoding.pixels(path, side=side)
        )


def test_limits_hold() -> None:
    file = BytesIO()
    Image.new("RGB", (50, 40)).save(file, "PNG")
    with pytest.raises(ImageError, match="2000 pixels"):
        decoding.pixels(Encoded("a.png", file.getvalue()), max_pixels=1999)
    short = Encoded("a.png", file.getvalue()[:-40])
    with pytest.raises(ImageError, match=r"^a\.png: "):
        decoding.pixels(short)
    assert decoding.pixels(short, allow_truncated=True).shape == (40, 50, 3)
