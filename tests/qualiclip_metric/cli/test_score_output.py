"""Where `qualiclip score` writes: formats by suffix, files, devices, spreadsheets, full disks."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from qualiclip_metric import scoring
from qualiclip_metric.cli import app
from qualiclip_metric.cli.rows import Format, writer_of
from qualiclip_metric.cli.terminal import Terminated
from qualiclip_metric.streaming.rows import Layout, Row


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def run(random_lite: Path) -> Any:
    def call(*arguments: str | Path) -> Outcome:
        return CliRunner().invoke(app, ["score", *map(str, arguments), "-m", str(random_lite)])

    return call


# --- formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "JSON", "txt"])
def test_the_format_follows_the_suffix(run: Any, photo: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores.{suffix}"
    assert run(photo, "--out", out).exit_code == 0
    text = out.read_text()
    if suffix == "csv":
        assert text.startswith("path,score,error,width,height,signature\n")
    elif suffix.lower() in ("json", "jsonl"):
        assert "signature" in json.loads(text)
    else:
        assert text.startswith(" score  image\n")


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_a_suffix_without_a_format_is_an_error(
    run: Any, photo: Path, tmp_path: Path, suffix: str
) -> None:
    """A table for people under such a name would be found out by whoever reads it."""
    result = run(photo, "--out", tmp_path / f"s.{suffix}")
    assert result.exit_code == 2
    assert f"got .{suffix}" in result.stderr
    assert "s/), or --format" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(photo, "--out", tmp_path / "scores").exit_code == 0


def test_a_format_that_contradicts_the_suffix_is_an_error(
    run: Any, photo: Path, tmp_path: Path
) -> None:
    result = run(photo, "--out", tmp_path / "s.json", "--format", "csv")
    assert result.exit_code == 2
    assert "--format csv contradicts" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(photo, "--out", tmp_path / "s.foo", "--format", "csv").exit_code == 0


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b.png'])
def test_line_ends_in_names_split_no_row(name: str) -> None:
    out = io.StringIO()
    writer_of(Format.csv)([Row(name, 0.5)], Layout(""), out)
    assert list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1][0] == name
    assert out.getvalue().replace(name.replace('"', '""'), "").count("\n") == 2
    assert "\r" not in out.getvalue().replace(name, "")


@pytest.mark.parametrize("name", ["=1+2.png", "+a.png", "-a.png", "@a.png", "\ta.png", "\ra.png"])
def test_names_are_no_formulas_unless_raw(name: str) -> None:
    for raw, expected in ((False, f"'{name}"), (True, name)):
        out = io.StringIO()
        writer_of(Format.csv, raw)([Row(name, None, "=bad")], Layout("s"), out)
        (_, row) = csv.reader(io.StringIO(out.getvalue(), newline=""))
        assert row == [expected, "", "=bad" if raw else "'=bad", "", "", "s"]


def test_a_table_ends_with_count_mean_and_the_worst() -> None:
    out = io.StringIO()
    scores = (0.9, 0.1, 0.5, None, 0.3, 0.2)
    rows = [Row(f"{n}", s, None if s else "bad") for n, s in enumerate(scores)]
    writer_of(Format.table)(rows, Layout(""), out)
    assert out.getvalue().splitlines()[-4:] == [
        "0.4000  mean of 5 images, 1 failed",
        "0.1000  among the worst 3: 1",
        "0.2000  among the worst 3: 5",
        "0.3000  among the worst 3: 4",
    ]


# --- files -----------------------------------------------------------------------------------


def test_an_empty_name_is_an_error(run: Any) -> None:
    result = run("")
    assert result.exit_code == 2
    assert "empty name" in result.stderr


def test_a_repeated_path_is_scored_once_and_reported_twice(run: Any, photo: Path) -> None:
    result = run(photo, photo.parent, photo, "--format", "csv")
    assert result.stdout.count(str(photo)) == 3


def test_a_folder_is_refused_before_anything_is_scored(
    run: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "score_items", None)  # would raise
    result = run(photo, "--out", tmp_path)
    assert result.exit_code == 2
    assert "--out:" in result.stderr
    assert "is a folder" in result.stderr
    assert f"{tmp_path}/ gets Parquet parts" in result.stderr


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_an_interrupted_run_replaces_no_complete_file(
    run: Any,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Any,
    code: int,
    suffix: str,
) -> None:
    def interrupted(*args: object, **kwargs: object) -> Iterator[Row]:
        yield Row(str(photo), 0.5)
        raise end

    monkeypatch.setattr(scoring, "score_items", interrupted)
    old, new = tmp_path / f"old.{suffix}", tmp_path / f"new.{suffix}"
    old.write_text("complete")
    result = run(photo, photo, "--out", old)
    assert result.exit_code == code
    assert old.read_text() == "complete"
    assert "interrupted: 1 of 2 images done" in result.stderr
    assert run(photo, photo, "--out", new).exit_code == code
    names = sorted(p.name for p in tmp_path.iterdir())
    if suffix == "json":  # written as a whole
        assert "left as it was" in result.stderr
        assert len(json.loads(new.read_text())["images"]) == 1  # what is done is not thrown away
        assert names == ["new.json", "old.json"]
    else:
        assert "old.csv.part; the same command goes on" in result.stderr
        assert names == ["new.csv.part", "old.csv", "old.csv.part"]
        assert len((tmp_path / "new.csv.part").read_text().splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [[], ["--out", "/dev/full"]])
def test_a_full_disk_is_one_line(photo: Path, random_lite: Path, arguments: list[str]) -> None:
    options = ["-m", str(random_lite), *arguments]
    command = [sys.executable, "-m", "qualiclip_metric", "score", str(photo), *options]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "No space left" in line]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
