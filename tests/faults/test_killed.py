"""Commands that are killed: what was there stays, what is there is whole, nothing is left over."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import formats
from qualiclip_metric.files import PROBE_BYTES
from tests.faults.commands import SECONDS, SIGNALS, start, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 names of two photos: work enough to be killed in the middle of it."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("first.png", "second.png"):
        Image.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(folder / name)
    for number in range(1000):
        (folder / f"a{number:04}.png").symlink_to("first.png")
        (folder / f"b{number:04}.png").symlink_to("second.png")
    return folder


def has_rows(folder: Path) -> bool:
    """Whether rows are being written; the probe for room has more bytes than these."""
    scratch = [path for path in folder.iterdir() if path.name.endswith(".part")]
    return any(0 < path.stat().st_size < PROBE_BYTES for path in scratch)


@pytest.mark.parametrize("number", SIGNALS)
def test_score_keeps_the_complete_file(
    photos: Path, tmp_path: Path, random_lite: Path, number: signal.Signals
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("complete\n")
    process = start("score", photos, "--out", out, "-m", random_lite, "--batch-size", "1")
    wait_until(lambda: has_rows(tmp_path), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)
    assert out.read_text() == "complete\n"
    if number == signal.SIGKILL:  # nobody is left to tidy up; the scratch file is hidden
        assert process.returncode == -number
        return
    assert process.returncode == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    assert "Traceback" not in err


def test_score_makes_a_new_file_of_what_is_done(
    photos: Path, tmp_path: Path, random_lite: Path
) -> None:
    out, whole = tmp_path / "scores.csv", tmp_path / "whole.csv"
    options = ("-m", random_lite, "--batch-size", "1")
    process = start("score", photos, "--out", out, *options)
    wait_until(lambda: has_rows(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SECONDS)
    if not out.exists():  # the signal came while a row was written
        assert process.returncode == 143
        return
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert 0 < len(rows) < 2002
    assert f"interrupted: {len(rows)} of 2002 images done" in err
    again = start("score", photos / "a0000.png", photos / "b0000.png", "--out", whole, *options)
    again.communicate(timeout=SECONDS)
    known = {
        row["path"][-9]: row["score"] for row in csv.DictReader(whole.read_text().splitlines())
    }
    assert {(Path(r["path"]).name[0], r["score"]) for r in rows} <= {
        *known.items(), ("f", known["a"]), ("s", known["b"])
    }  # fmt: skip


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
