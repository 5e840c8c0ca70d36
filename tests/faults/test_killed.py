"""Commands that are killed: what was there stays, what is there is whole, nothing is left over."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import formats
from tests.faults.commands import SECONDS, SIGNALS, start, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """802 names of two photos: work enough to be killed in the middle of it."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("first.png", "second.png"):
        Image.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(folder / name)
    for number in range(400):
        (folder / f"a{number:04}.png").symlink_to("first.png")
        (folder / f"b{number:04}.png").symlink_to("second.png")
    return folder


def has_rows(folder: Path) -> bool:
    """Whether rows are being written: more than the line of names."""
    scratch = folder / "scores.csv.part"
    return scratch.exists() and scratch.read_bytes().count(b"\n") > 1


@pytest.mark.parametrize("number", SIGNALS)
def test_score_keeps_the_complete_file_and_goes_on(
    photos: Path, tmp_path: Path, random_lite: Path, number: signal.Signals
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("complete\n")
    words = ("score", photos, "--out", out, "-m", random_lite)
    process = start(*words, "--batch-size", "1")
    wait_until(lambda: has_rows(tmp_path), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)
    assert out.read_text() == "complete\n"
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in err
    partial = (tmp_path / "scores.csv.part").read_text().splitlines()[1:]
    assert 0 < len(partial) < 802
    if number != signal.SIGKILL:
        assert f"interrupted: {len(partial)} of 802 images done" in err
    process = start(*words)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["path"] for row in rows] == sorted(str(path) for path in photos.iterdir())
    assert len({(Path(row["path"]).name[0], row["score"]) for row in rows}) <= 4
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv"}


@pytest.mark.parametrize("number", SIGNALS)
def test_an_exported_file_is_whole_or_not_there(
    tmp_path: Path, random_lite: Path, number: signal.Signals
) -> None:
    out = tmp_path / "model.safetensors"
    process = start("export", out, "--model", random_lite, "--format", "safetensors")
    wait_until(lambda: any(tmp_path.iterdir()), process)
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    if out.exists():
        assert formats.load(out).architecture == "lite"
