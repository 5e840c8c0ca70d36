"""The command line: help, errors of the user, and the commands that only read results."""

import json
import sys
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from benchmarks.__main__ import COMMANDS
from benchmarks.datasets import SPECS
from benchmarks.results.folder import score_files


def test_every_command_is_listed_and_has_help(command):
    shown = command("--help").out
    for name in COMMANDS:
        assert f"  {name} " in shown
        assert f"python -m benchmarks {name}" in command(name, "--help").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "--results", "nowhere"], "no nowhere/summary.parquet; make it with"),
        (["summary", "--results", "nowhere"], "no results under nowhere"),
        (["run", "--metric", "sharpness", "--dataset", "nope"], "unknown dataset 'nope'"),
        (["run", "--metric", "sharpness", "--dataset", "spaq"], "no folder given"),
        (
            ["run", "--metric", "x", "--dataset", "spaq", "--customary", "--short-side", "99"],
            "exclude each other",
        ),
        (["run", "--metric", "x", "--dataset", "spaq", "--dataset", "spaq"], "given twice"),
        (["datasets", "--root", "nowhere"], "no folder nowhere"),
    ],
)
def test_user_errors_are_one_line(command, words, message, monkeypatch):
    monkeypatch.delenv("QUALICLIP_DATASETS", raising=False)
    shown = command(*words, code=2)
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_one_line(command, tmp_path):
    (tmp_path / "wide.csv").write_text("image,a,b\nx,1,2\ny,2,1\n")
    (tmp_path / "file").write_text("")
    words = ["gmad", "--table", tmp_path / "wide.csv", "--out", tmp_path / "file" / "folder"]
    shown = command(*words, code=2)
    assert shown.err.splitlines()[-1].startswith("error: ") and "file" in shown.err
    assert "Traceback" not in shown.err


def test_a_missing_library_comes_with_its_cure(command, monkeypatch):
    modules = ["results.store", "results.folder", "results.summary", "cli.summary"]
    for module in modules:
        monkeypatch.delitem(sys.modules, f"benchmarks.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    shown = command("summary", code=2)
    assert "pip install 'qualiclip-metric[benchmarks]'" in shown.err


def test_run_says_why_some_images_failed_and_that_no_metric_was_there(command, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "b.png")
    (tmp_path / "mine.csv").write_text("image,mos\na.png,1\nb.png,2\n")
    (tmp_path / "pred.csv").write_text("image,score\na.png,1\n")
    words = ["run", "--dataset", f"csv={tmp_path}/mine.csv", "--out", tmp_path / "r"]
    shown = command(*words, "--metric", f"table:{tmp_path}/pred.csv", code=1)
    assert "the table has no score" in shown.err
    shown = command(*words, "--metric", "no_such_module:f", code=1)
    assert "nothing computed" in shown.err
    shown = command(*words, "--metric", "sharpness", "--metric", "no_such_module:f", code=1)
    assert "2 computed, 0 reused" in shown.err
    shown = command(*words, "--metric", "sharpness", "--device", "foo", code=2)
    assert "device" in shown.err


def test_datasets_command(command, tmp_path):
    (tmp_path / "kadid10k").mkdir()
    shown = command("datasets", "--root", tmp_path).out
    assert "| kadid | broken |" in shown
    assert "| spaq | absent |" in shown
    assert len(json.loads(command("datasets", "--root", tmp_path, "--json").out)) == len(SPECS)


def test_run_notes_the_customary_resolution(command, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (700, 500)).save(tmp_path / "images" / "a.png")
    labels = pd.DataFrame({"image": ["images/a.png"], "mos": [1.0]})
    monkeypatch.setitem(SPECS, "spaq", replace(SPECS["spaq"], read=lambda root: labels, count=1))
    words = ["run", "--metric", "jpegsize", "--dataset", f"spaq={tmp_path}", "--out",
             tmp_path / "r", "--workers", "0", "--resamples", "0"]  # fmt: skip
    assert "short side 448" in command(*words).err
    assert "customarily" not in command(*words, "--customary").err
    files = list(score_files(tmp_path / "r", "spaq"))
    sizes = {f.key.resolution: (f.rows["height"][0], f.rows["width"][0]) for f in files}
    assert sizes == {"native": (500, 700), "short-side-448": (448, 627)}
