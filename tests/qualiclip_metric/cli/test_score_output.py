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
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from qualiclip_metric import scoring
from qualiclip_metric.cli import app
from qualiclip_metric.cli.terminal import Terminated
from qualiclip_metric.scoring.columns import Row, layout_for
from qualiclip_metric.scoring.options import Format, OutputOptions
from qualiclip_metric.scoring.results import Stream
from qualiclip_metric.scoring.text_formats import CsvLines, render


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


def test_one_parquet_file(run: Any, photo: Path, tmp_path: Path) -> None:
    """What people type first; the columns are those of a part."""
    missing, out = photo.with_name("none.png"), tmp_path / "s.parquet"
    for options in ([], ["--sort"]):
        result = run(missing, photo, "--out", out, "--pairs", *options)
        assert result.exit_code == 1, result.stderr
        rows = pq.read_table(out).to_pylist()
        order = [photo, missing] if options else [missing, photo]
        assert [row["key"] for row in rows] == list(map(str, order))
    assert run(missing, photo, "--out", f"{tmp_path}/parts/", "--pairs").exit_code == 1
    (part,) = (tmp_path / "parts").iterdir()
    assert pq.read_schema(part).equals(pq.read_schema(out), check_metadata=True)
    assert sorted(pq.read_table(part).to_pylist(), key=str) == sorted(rows, key=str)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".parts.lock", "parts", "s.parquet"]


def test_a_name_without_a_suffix_is_a_table(run: Any, photo: Path, tmp_path: Path) -> None:
    assert run(photo, "--out", tmp_path / "scores").exit_code == 0
    assert run(photo, "--out", tmp_path / "s.foo", "--format", "csv").exit_code == 0
    assert (tmp_path / "s.foo").read_text().startswith("path,")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_sorted_file_can_be_resumed(
    run: Any, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    out, scores = tmp_path / f"s.{form}", {"a\nb": 0.2, "c": None, "d": 0.9, "e": 0.5}

    def some(*names: str, end: Any = None) -> None:
        def rows(*args: object, **kwargs: object) -> Iterator[Row]:
            yield from (Row(name, scores[name], None if scores[name] else "bad") for name in names)
            if end is not None:
                raise end

        monkeypatch.setattr(scoring, "score_items", rows)

    some("a\nb", "c", end=KeyboardInterrupt)
    assert run(photo, "--out", out, "--sort").exit_code == 130
    assert not out.exists()
    some("d", "e")
    assert run(photo, "--out", out, "--sort").exit_code == 1
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file) if form == "csv" else map(json.loads, file))
    assert [row["path"] for row in rows] == ["d", "e", "a\nb", "c"]


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b.png'])
def test_line_ends_in_names_split_no_row(name: str) -> None:
    text = "".join(render([Row(name, 0.5)], Format.csv, layout_for("")))
    assert list(csv.reader(io.StringIO(text, newline="")))[1][0] == name
    assert text.replace(name.replace('"', '""'), "").count("\n") == 2
    assert "\r" not in text.replace(name, "")


@pytest.mark.parametrize("name", ["=1+2.png", "+a.png", "-a.png", "@a.png", "\ta.png", "\ra.png"])
def test_names_are_no_formulas_unless_raw(name: str) -> None:
    for raw, expected in ((False, f"'{name}"), (True, name)):
        text = "".join(render([Row(name, None, "=bad")], Format.csv, layout_for("s"), raw))
        (_, row) = csv.reader(io.StringIO(text, newline=""))
        assert row == [expected, "", "=bad" if raw else "'=bad", "", "", "s"]


def test_names_that_the_encoding_of_stdout_lacks_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On Windows, redirected: cp1252."""
    rows = [Row("ol\u00e9-\u732b.png", 0.5), Row("\udcff.png", 0.25)]
    for encoding, first in (("cp1252", b"ol\xe9-\\u732b.png"), ("utf-8", rows[0].key.encode())):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, newline=""))
        Stream(OutputOptions(format=Format.csv), layout_for("s")).write(rows, lambda: False)
        sys.stdout.flush()
        names = [line.split(b",")[0] for line in written.getvalue().splitlines()[1:]]
        assert names == [first, b"\\udcff.png" if encoding == "cp1252" else b"\xff.png"]


def test_a_byte_order_mark_for_excel_outlives_resuming(
    run: Any, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.csv"
    assert run(photo, "--out", out, "--bom").exit_code == 0
    content = out.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfpath,score")
    for options in (["--bom"], []):  # the rows that are there are found again
        out.rename(f"{out}.part")
        assert run(photo, "--out", out, *options).exit_code == 0
        assert out.read_bytes() == content
    assert run(photo, "--format", "csv", "--bom").stdout_bytes == content


def test_a_field_of_any_length_can_be_read_back() -> None:
    lines = CsvLines(layout_for("s"))
    assert lines.parse(lines.line(Row("a" * 200_000, 0.5))).key == "a" * 200_000


def test_a_table_ends_with_count_mean_and_the_worst() -> None:
    scores = (0.9, 0.1, 0.5, None, 0.3, 0.2)
    rows = [Row(f"{n}", s, None if s else "bad") for n, s in enumerate(scores)]
    text = "".join(render(rows, Format.table, layout_for("")))
    assert text.splitlines()[-4:] == [
        "0.4000  mean of 5 images, 1 failed",
        "0.1000  among the worst 3: 1",
        "0.2000  among the worst 3: 5",
        "0.3000  among the worst 3: 4",
    ]


# --- files -----------------------------------------------------------------------------------


def test_a_repeated_path_has_a_row_each_time(run: Any, photo: Path) -> None:
    result = run(photo, photo.parent, photo, "--format", "csv")
    assert result.stdout.count(str(photo)) == 3


@pytest.mark.parametrize(
    ("end", "code", "suffix"), [(KeyboardInterrupt, 130, "csv"), (Terminated, 143, "json")]
)
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
    assert "1 of 2 images" in result.stderr
    assert run(photo, photo, "--out", new).exit_code == code
    assert not new.exists()  # what is done is kept under another name
    partial = tmp_path / f"new.{suffix}.part"
    if suffix == "csv":
        assert "goes on" in result.stderr
        assert len(partial.read_text().splitlines()) == 2
        return
    assert "starts afresh" in result.stderr
    assert len(json.loads(partial.read_text())["images"]) == 1
    monkeypatch.undo()
    assert run(photo, "--out", new).exit_code == 0
    assert not partial.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line(photo: Path, random_lite: Path) -> None:
    command = [sys.executable, "-m", "qualiclip_metric", "score", str(photo)]
    command += ["-m", str(random_lite)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "No space left" in line]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
