"""Raw data of cameras: told by content, developed, refused where data is missing."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import decoding
from qualiclip_metric.decoding import Encoded, ImageError
from tests.qualiclip_metric.decoding.sample_files import PHOTO

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("rawpy")

CASE = Path("../shared/data/cases/raw/canon_eos_6d.dng")


def dng(height: int = 64, width: int = 96) -> bytes:
    """A ramp as an uncompressed DNG with a Bayer pattern, by the DNG specification 1.4."""
    out = io.BytesIO()
    tags = [
        (50706, 1, 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, 2, 0, "Test", True),  # UniqueCameraModel
        (33421, 3, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, 1, 4, (0, 1, 1, 2), True),  # CFAPattern
        (50721, 10, 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, 3, 1, 21, True),  # CalibrationIlluminant1
    ]
    ramp = np.linspace(1000, 40_000, height * width).reshape(height, width).astype(np.uint16)
    tifffile.imwrite(out, ramp, photometric=32803, extratags=tags)
    return out.getvalue()


def with_preview(camera: bytes = b"Test") -> bytes:
    """A camera's TIFF that begins with a preview and has its sensor data in a second image."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        make = [(271, 2, len(camera) + 1, camera, True)]
        writer.write(PHOTO, photometric="rgb", subfiletype=1, extratags=make)
        writer.write(np.zeros((64, 96), np.uint16), photometric=32803)
    return out.getvalue()


@pytest.mark.parametrize("suffix", ["dng", "3fr", "tif", "bin"])
def test_it_is_developed_under_any_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(dng())
    assert decoding.size(path) == (64, 96)
    array = decoding.pixels(path)
    assert (array.shape, array.dtype) == ((64, 96, 3), np.uint8)
    assert array[-8:].mean() > array[:8].mean() + 50
    np.testing.assert_array_equal(decoding.pixels(Encoded("a", dng())), array)
    with pytest.raises(ImageError, match="6144 pixels"):
        decoding.pixels(path, max_pixels=100)


@pytest.mark.parametrize("suffix", ["nef", "tif", ""])
def test_a_preview_is_not_taken_for_the_photo(suffix: str) -> None:
    with pytest.raises(ImageError):
        decoding.pixels(Encoded(f"a.{suffix}", with_preview()))


def test_a_tiff_of_a_camera_is_no_raw_data() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, PHOTO, photometric="rgb", extratags=[(271, 2, 5, b"Test", True)])
    np.testing.assert_array_equal(decoding.pixels(Encoded("a.tif", out.getvalue())), PHOTO)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95, 0.99])
def test_truncated_data_is_refused(share: float, capfd: pytest.CaptureFixture[str]) -> None:
    content = dng()
    with pytest.raises(ImageError, match=r"^a\.dng: "):
        decoding.pixels(Encoded("a.dng", content[: int(len(content) * share)]))
    assert capfd.readouterr().err == ""


def test_a_header_without_pixels_is_refused() -> None:
    content = dng()
    start = content.index(struct.pack("<HHI", 256, 4, 1)) + 8  # ImageWidth
    wide = content[:start] + struct.pack("<I", 60_000) + content[start + 4 :]
    with pytest.raises(ImageError, match=r"a\.dng: "):
        decoding.size(Encoded("a.dng", wide))


def test_a_picture_of_one_value_is_refused() -> None:
    out = io.BytesIO()
    tags = [(50706, 1, 4, (1, 4, 0, 0), True), (33421, 3, 2, (2, 2), True),
            (33422, 1, 4, (0, 1, 1, 2), True), (50708, 2, 0, "Test", True)]  # fmt: skip
    tifffile.imwrite(out, np.zeros((64, 96), np.uint16), photometric=32803, extratags=tags)
    with pytest.raises(ImageError, match="one value"):
        decoding.pixels(Encoded("a.dng", out.getvalue()))


def test_other_content_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "a.nef").write_bytes(b"II*\0 no raw data")
    with pytest.raises(ImageError, match=r"a\.nef: "):
        decoding.pixels(tmp_path / "a.nef")
    Image.fromarray(PHOTO).save(tmp_path / "b.png")
    photo = (tmp_path / "b.png").rename(tmp_path / "b.dng")  # what it is decides, not its name
    np.testing.assert_array_equal(decoding.pixels(photo), PHOTO)


@pytest.mark.skipif(not CASE.exists(), reason="needs ../shared/data/cases")
def test_lossy_raw_data_cut_short_is_refused() -> None:
    content = CASE.read_bytes()
    assert decoding.pixels(Encoded("a.3fr", content)).shape == (816, 1224, 3)
    for share in (0.95, 0.99):
        with pytest.raises(ImageError, match="truncated"):
            decoding.pixels(Encoded("a.dng", content[: int(len(content) * share)]))


def test_reading_other_files_imports_no_raw_library(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    code = (
        "import sys; from qualiclip_metric import decoding; decoding.pixels(sys.argv[1]);"
        "assert not {'rawpy', 'tifffile', 'cv2', 'imagecodecs'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
