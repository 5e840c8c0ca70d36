"""A file that is no image is refused; the message has its name and the reason."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from qualiclip_metric import images
from qualiclip_metric.decoding import Encoded
from qualiclip_metric.images import ImageError, read
from tests.qualiclip_metric.decoding.sample_files import PHOTO, png


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp", "ppm", "jp2"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTO).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(ImageError, match=f"{path.name}: "):
        read(path)


def test_a_tiff_whose_strips_end_above_its_last_row(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(PHOTO).save(path)
    promise = struct.pack("<HHI", 257, 4, 1)  # tag ImageLength: one 32-bit number
    whole = path.read_bytes()
    path.write_bytes(whole.replace(promise + struct.pack("<I", 40), promise + b"\0\1\0\0"))
    assert path.read_bytes() != whole
    with pytest.raises(ImageError, match="40 of its 256 rows"):
        read(path)
    assert read(path, allow_truncated=True).shape == (3, 256, 52)


def test_truncation_is_an_error_even_where_pillow_is_told_to_be_lenient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as pyiqa does on import
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-2000])
    with pytest.raises(ImageError):
        read(tmp_path / "b.png")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"just a text, renamed", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n", "PostScript"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\x93NUMPY\x01", "a NumPy file: convert or unpack it"),
        (png(8, 0, np.zeros((1, 1), np.uint8), width=40_000)[:16] + b"\0" * 9, ""),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for source in (tmp_path / "a.png", Encoded("shard.tar/a.png", content)):
        for ask in (images.pixels, images.size):
            with pytest.raises(ImageError, match=rf"a\.png: .*{message}"):
                ask(source)


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    content = bytearray(png(8, 0, np.zeros((1, 1), np.uint8)))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(ImageError, match="900000000 pixels"):
        read(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="900000000 pixels"):
        images.size(tmp_path / "bomb.png")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="a folder"):
        read(tmp_path)
