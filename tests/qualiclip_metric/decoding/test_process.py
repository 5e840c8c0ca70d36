"""The decoder in a process: the same pixels, limits in time, crashes, noise, interruptions."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import decoding
from qualiclip_metric.decoding import ImageError, process
from qualiclip_metric.decoding.process import DecoderProcess
from qualiclip_metric.scoring import ScoreOptions, score_files
from qualiclip_metric.scoring.reader import Reader
from tests.qualiclip_metric.decoding.sample_files import DEEP, PHOTO
from tests.qualiclip_metric.scoring.mean_metric import mean_metric


@pytest.fixture
def decoder() -> Iterator[DecoderProcess]:
    process = DecoderProcess()
    yield process
    process.close()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """169 megapixels in 1 MB, which take seconds."""
    path = tmp_path / "slow.jpg"
    Image.new("L", (13_000, 13_000)).save(path, progressive=True)
    return path


def test_pixels_are_those_of_the_same_process(decoder: DecoderProcess, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "ünï\n.png")
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "deep.png")
    Image.new("LA", (40, 40), (0, 128)).save(tmp_path / "clear.png")
    for path in sorted(tmp_path.iterdir()):
        here = decoding.pixels(path, (9, 8, 7))
        there = decoder.call("pixels", path, background=(9, 8, 7))
        np.testing.assert_array_equal(there, here)
        assert there.dtype == here.dtype
        assert decoder.call("size", path) == decoding.size(path)


def test_errors_are_the_same(decoder: DecoderProcess, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(PHOTO).save(tmp_path / "large.png")
    for path in (tmp_path / "text.png", tmp_path / "none.png", tmp_path / "large.png", tmp_path):
        messages = []
        for read in (decoding.pixels, partial(decoder.call, "pixels")):
            with pytest.raises(ImageError) as caught:
                read(path, max_pixels=100)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_what_takes_too_long_is_ended_and_the_next_image_is_read(slow: Path) -> None:
    decoder = DecoderProcess(timeout=0.02)
    with pytest.raises(ImageError, match="not decoded"):
        decoder.call("pixels", slow)
    decoder.timeout = 60
    Image.fromarray(PHOTO).save(next_one := slow.with_name("a.png"))
    np.testing.assert_array_equal(decoder.call("pixels", next_one), PHOTO)
    decoder.close()


@pytest.mark.skipif(os.name != "posix", reason="alarms are POSIX")
def test_a_decoder_that_rests_longer_than_its_limit_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm that ends an orphan is cancelled after each image."""
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    monkeypatch.setattr(process, "GRACE_SECONDS", -58)
    decoder = DecoderProcess(timeout=60)
    decoder.call("size", tmp_path / "a.png")
    time.sleep(2.3)  # longer than the alarm, which is set to 60 - 58 seconds here
    assert decoder.call("size", tmp_path / "a.png") == PHOTO.shape[:2]
    decoder.close()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_crash_is_an_error_and_no_end(decoder: DecoderProcess, tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    decoder.call("pixels", tmp_path / "a.png")
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGINT)  # ignored: the parent decides
    decoder.call("pixels", tmp_path / "a.png")
    os.kill(decoder._process.pid, signal.SIGSEGV)
    decoder._process.wait()
    with pytest.raises(ImageError, match="crashed"):
        decoder.call("pixels", tmp_path / "a.png")
    np.testing.assert_array_equal(decoder.call("pixels", tmp_path / "a.png"), PHOTO)


def noisy_tiff(path: Path) -> Path:
    """A TIFF whose strips are damaged, of which libtiff complains on stderr."""
    Image.fromarray(PHOTO).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[200:2000] = b"\xff" * 1800
    path.write_bytes(content)
    return path


def test_noise_of_libraries_is_put_to_its_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = noisy_tiff(tmp_path / "a.tif")
    with pytest.raises(ImageError):
        decoding.pixels(path)
    noise = capfd.readouterr().err
    if not noise:
        pytest.skip("this libtiff keeps quiet")
    (result,) = score_files(mean_metric, [path])
    assert result.error is not None
    assert noise.splitlines()[0].strip() in result.error
    assert capfd.readouterr().err == ""


def test_a_file_over_the_time_limit_is_a_row_with_an_error(slow: Path) -> None:
    good = slow.with_name("a.png")
    Image.fromarray(PHOTO).save(good)
    first, second, third = score_files(mean_metric, [good, slow, good], timeout=1)
    assert first == third
    assert first.score == pytest.approx(PHOTO.mean() / 255, abs=1e-5)
    assert second.error == "not decoded within 1 s"
    with pytest.raises(ValueError, match="timeout"):
        score_files(mean_metric, [good], timeout=0)


def test_processes_end_with_the_results(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.tif")
    reader = Reader(ScoreOptions())
    reader.pixels(tmp_path / "a.tif")
    (decoder,) = reader._processes
    running = decoder._process
    assert running is not None
    reader.close()
    assert running.returncode is not None
