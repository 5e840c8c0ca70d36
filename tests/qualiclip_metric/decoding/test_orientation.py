"""Images are turned upright, and of several frames the first counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.images import read
from tests.qualiclip_metric.decoding.sample_files import PHOTO, expect

UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    expect(tmp_path / f"a.{suffix}", UPRIGHT[orientation](PHOTO) / 255)


def test_orientation_keeps_transparency(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(PHOTO).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    image.save(tmp_path / "turned.png", transparency=3, exif=exif)
    plain, turned = read(tmp_path / "a.png"), read(tmp_path / "turned.png")
    assert torch.equal(turned, plain.rot90(-1, (1, 2)))


def test_a_damaged_exif_block_is_no_obstacle(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    start = content.index(b"Exif") + 6
    (tmp_path / "a.jpg").write_bytes(content[:start] + b"\xff" * 20 + content[start + 20 :])
    assert read(tmp_path / "a.jpg").shape == (3, 40, 52)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    torch.testing.assert_close(read(tmp_path / f"a.{suffix}")[:, 7, 7], torch.tensor([1.0, 0, 0]))
