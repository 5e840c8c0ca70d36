"""Huge headers, truncated files, pipes, missing packages."""

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from qualiclip_metric import decoding, images
from qualiclip_metric.decoding import ImageError, formats
from qualiclip_metric.decoding.convert import to_pixels
from qualiclip_metric.sources.folders import LeftOut, find, walk
from tests.qualiclip_metric.decoding.sample_files import DEEP, PHOTO, png


def write(path: Path, share: float = 1.0) -> Path:
    """The photo, whole or cut off."""
    Image.fromarray(PHOTO).save(path)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize("read", [decoding.pixels, decoding.size, images.read])
def test_the_header_is_asked_before_anything_is_decoded(
    tmp_path: Path,
    read: object,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = write(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)  # would raise TypeError
    message = "a.png: 2080 pixels by its header, more than the limit of 2079"
    with pytest.raises(ImageError, match=message):
        read(path, max_pixels=2079)  # type: ignore[operator]
    monkeypatch.undo()
    read(path, max_pixels=2080)  # type: ignore[operator]
    assert not recwarn.list


@pytest.mark.parametrize("suffix", ["webp", "jp2"])
def test_formats_that_take_more_memory_have_a_limit_of_their_own(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qualiclip_metric.decoding.decode.WHOLE_PIXELS", 2079)
    path = write(tmp_path / f"a.{suffix}")
    with pytest.raises(ImageError, match="2080 pixels"):
        decoding.pixels(path)
    assert decoding.pixels(path, max_pixels=10**9).shape == (40, 52, 3)
    assert decoding.pixels(write(tmp_path / "a.png")).shape == (40, 52, 3)


def test_the_limit_of_pillow_is_back_afterwards(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    decoding.pixels(write(tmp_path / "a.png"), max_pixels=10**9)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_files_are_read_where_this_is_allowed(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", 0.6)
    with pytest.raises(ImageError):
        decoding.pixels(path)
    array = decoding.pixels(path, allow_truncated=True)
    assert array.shape == PHOTO.shape
    assert np.abs(array[:5].astype(int) - PHOTO[:5]).mean() < 60
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads_with_other_wishes_wait_for_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", 0.6)
    outcomes: list[tuple[bool, bool]] = []

    def attempt(allowed: bool) -> None:
        for _ in range(20):
            try:
                decoding.pixels(path, allow_truncated=allowed)
                outcomes.append((allowed, True))
            except ImageError:
                outcomes.append((allowed, False))

    threads = [threading.Thread(target=attempt, args=(n % 2 == 0,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 80
    assert all(allowed == read for allowed, read in outcomes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/null")):
        with pytest.raises(ImageError, match="named pipe"):
            decoding.pixels(path)
        with pytest.raises(ImageError, match="named pipe"):
            decoding.size(path)


def bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make seven rows of the photo a band."""
    monkeypatch.setattr("qualiclip_metric.decoding.convert.BAND_PIXELS", 52 * 7)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "F"])
def test_large_images_are_converted_band_by_band(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode in ("I;16", "F"):
        values = DEEP[..., 0] if mode == "I;16" else np.float32(DEEP[..., 0] / 65535)
        image = Image.fromarray(values)
    else:
        image = Image.fromarray(np.dstack([PHOTO, PHOTO[::-1, :, 1]])).convert(mode)
    image.getexif()[0x0112] = 6  # turned by 90 degrees
    whole = to_pixels(image.copy(), (9, 80, 200))
    bands(monkeypatch)
    np.testing.assert_array_equal(to_pixels(image.copy(), (9, 80, 200)), whole)


def test_transparency_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PHOTO).quantize(16).save(tmp_path / "p.png", transparency=bytes(range(16)))
    deep = png(16, 0, DEEP[..., 0].astype(">u2"), struct.pack(">H", DEEP[3, 3, 0]))
    (tmp_path / "i.png").write_bytes(deep)
    paths = [tmp_path / "p.png", tmp_path / "i.png"]
    whole = [decoding.pixels(path, (9, 80, 200)) for path in paths]
    bands(monkeypatch)
    for path, expected in zip(paths, whole, strict=True):
        np.testing.assert_array_equal(decoding.pixels(path, (9, 80, 200)), expected)


def test_equal_channels_are_kept_once(tmp_path: Path) -> None:
    """A deep grey image of 178 megapixels would be 2.1 GB as three channels."""
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "deep.png")
    array = decoding.pixels(tmp_path / "deep.png")
    assert array.shape == (40, 52, 3)
    assert array.base is not None
    assert array.base.nbytes == 40 * 52 * 4


def test_what_is_long_and_thin_is_refused_for_the_size_it_is_scored_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qualiclip_metric.decoding.decode.MAX_RESIZED_PIXELS", 1000)
    path = write(tmp_path / "a.png")
    message = r"a\.png: 52x40 pixels, 1240 of them left at a shorter side of 31, more than .* 1000"
    with pytest.raises(ImageError, match=message):
        decoding.pixels(path, side=31)
    for options in ({"side": 0}, {"side": 20}, {"side": 31, "max_pixels": 10**9}):
        assert decoding.pixels(path, **options).shape == (40, 52, 3)


# --- formats of extras -----------------------------------------------------------------------


def test_heic_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    formats.pillow_formats()
    smooth = np.stack(np.broadcast_arrays(*np.ogrid[0:160:64j, 40:240:64j], 90.0), -1).astype("u1")
    Image.fromarray(smooth).save(tmp_path / "a.heic", format="HEIF", quality=95)
    array = decoding.pixels(tmp_path / "a.heic")
    assert decoding.size(tmp_path / "a.heic") == (64, 64)
    assert np.abs(array.astype(int) - smooth).mean() < 4


def test_without_the_package_files_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    for name in ("a.png", "b.HEIC", "c.heic", "d.nef", "e.txt"):
        write(tmp_path / "a.png")
        (tmp_path / name).touch()
    left_out = LeftOut()
    assert [path.name for path in walk(tmp_path, left_out=left_out)] == ["a.png"]
    note = str(left_out.note())
    assert "2 .heic, 1 .nef" in note
    assert note.endswith("; left out: 1 .txt")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"2 \.heic"):
        find([tmp_path])
    (tmp_path / "d.nef").write_bytes(b"sensor data")
    with pytest.raises(ImageError, match="rawpy"):
        decoding.pixels(tmp_path / "d.nef")
