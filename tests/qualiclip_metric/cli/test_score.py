"""`qualiclip score`: formats, errors, exit codes, odd paths."""

import csv
import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from qualiclip_metric import create, images, scoring
from qualiclip_metric.cli import app
from qualiclip_metric.engines import choose_precision
from qualiclip_metric.scoring.columns import Row, layout_for
from qualiclip_metric.scoring.options import Format
from qualiclip_metric.scoring.text_formats import render
from qualiclip_metric.signature import Signature


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, one of them in a folder below, and a file that is none."""
    top = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    (top / "deeper").mkdir()
    for name, size in (("a.png", (40, 48)), ("b.png", (64, 50)), ("deeper/c.png", (40, 48))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(top / name)
    (top / "d.jpg").write_text("no image")
    return top


@pytest.fixture
def run(random_lite: Path) -> Any:
    def call(*arguments: str | Path, model: str | Path = random_lite) -> Outcome:
        full = ["score", *map(str, arguments), "--model", str(model)]
        return CliRunner().invoke(app, full)

    return call


def test_csv(run: Any, folder: Path, random_lite: Path) -> None:
    result = run(folder, "--format", "csv", "--precision", "fp32")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["path", "score", "error", "width", "height", "signature"]
    assert [(row["width"], row["height"]) for row in rows] == [
        ("48", "40"), ("50", "64"), ("", ""), ("48", "40")
    ]  # fmt: skip
    assert [row["path"] for row in rows] == [
        str(folder / name) for name in ("a.png", "b.png", "d.jpg", "deeper/c.png")
    ]
    metric = create(random_lite, engine="auto")
    for row in rows:
        if row["path"].endswith("d.jpg"):
            assert (row["score"], row["error"]) == ("", "not an image, or of an unknown format")
        else:
            with torch.inference_mode():
                expected = metric(images.read(row["path"])[None]).item()
            assert float(row["score"]) == pytest.approx(expected, abs=2e-6)
            assert row["error"] == ""
    assert str(metric.signature.of_files("srgb")) in result.stderr
    assert "1 of 4 images" in result.stderr


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_has_the_signature(run: Any, folder: Path, random_lite: Path, form: str) -> None:
    result = run(folder / "a.png", folder / "d.jpg", "--format", form)
    assert result.exit_code == 1
    if form == "json":
        content = json.loads(result.stdout)
        rows, signatures = content["images"], [content["signature"]]
    else:
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        signatures = [row["signature"] for row in rows]
    expected = create(random_lite, precision="auto", engine="auto").signature.of_files("srgb")
    assert all(Signature(**signature) == expected for signature in signatures)
    good, bad = rows
    assert 0 <= good["score"] <= 1 and good["error"] is None
    assert bad["score"] is None and bad["error"]


def test_table(run: Any, folder: Path) -> None:
    result = run(folder)
    lines = result.stdout.splitlines()
    assert lines[0] == " score  image"
    assert lines[1][6:] == f"  {folder / 'a.png'}"
    assert 0 <= float(lines[1][:6]) <= 1
    assert lines[3].startswith(f"     -  {folder / 'd.jpg'}  (not an image")


def test_sort_puts_the_best_first_and_failures_last(run: Any, folder: Path) -> None:
    result = run(folder, "--format", "csv", "--sort")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    scores = [float(row["score"]) for row in rows[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1]["error"]


def test_a_failed_run_leaves_the_old_output(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("precious")

    def broken(*args: object, **kwargs: object) -> Iterator[Row]:
        yield Row(str(folder / "a.png"), 0.5)
        raise TypeError("a mistake")

    monkeypatch.setattr(scoring, "score_items", broken)
    result = run(folder, "--output", out)
    assert isinstance(result.exception, TypeError)
    assert out.read_text() == "precious"
    assert (tmp_path / "scores.csv.part").exists()


@pytest.mark.parametrize("options", [[], ["--sort"], ["--format", "json"]])
def test_what_is_done_at_an_interruption_is_printed(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def interrupted(*args: object, **kwargs: object) -> Iterator[Row]:
        yield Row(str(folder / "a.png"), 0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "score_items", interrupted)
    result = run(folder, *options)
    assert result.exit_code == 130
    assert "a.png" in result.stdout
    assert "1 of 4 images" in result.stderr


def test_precision_and_settings_reach_the_metric(run: Any, folder: Path) -> None:
    image = folder / "a.png"
    fast = run(image, "--precision", "bf16", "--format", "json", "--batch-size", "1")
    assert json.loads(fast.stdout)["signature"]["precision"] == "bf16"
    automatic = run(image, "--format", "json")
    chosen = choose_precision("auto", torch.device("cpu"))
    assert json.loads(automatic.stdout)["signature"]["precision"] == chosen


def test_background(run: Any, tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("RGB", (40, 40), "#102030").save(tmp_path / "solid.png")
    result = run(tmp_path, "--format", "jsonl", "--background", "#102030")
    clear, solid = (json.loads(line)["score"] for line in result.stdout.splitlines())
    assert clear == pytest.approx(solid, abs=2e-6)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("", "--from-file LIST"),
        ("nothing/*.png", "no image found"),
        ("''", "empty name"),
        ("x.png --background reddish", "--background"),
        ("x.png --device abacus", "abacus"),
        ("x.png --batch-size 0", "batch-size"),
        ("x.png --workers 0", "workers"),
        ("x.png --format xml", "format"),
        ("x.png --precision fp8", "precision"),
        ("x.png --model nope", "'nope'"),
        ("x.png --out no/such/folder/f.csv", "--out: there is no folder"),
        ("x.png --out no/such/scores/", "there is no folder no/such"),
        ("x.png --out .", "./ gets Parquet parts"),
        ("x.png --out s.xlsx", "got .xlsx"),
        ("x.png --out nowhere://s/", "[remote]"),
        ("x.png --out s.json --format csv", "--format csv contradicts"),
        ("x.png --out s/ --format csv", "contradicts --out s/"),
        ("x.png --format parquet", "--out scores.parquet"),
        ("x.png --out s/ --sort", "--sort"),
        ("x.png --out s.json --raw", "--raw"),
        ("x.png --raw", "--raw"),
        ("x.png --out s.jsonl --bom", "--bom"),
        ("x.png --retry-errors", "--retry-errors"),
        ("x.png --retry-errors --overwrite --out s.csv", "--overwrite"),
        ("x.png --retry-errors --out s.parquet", "--retry-errors"),
        ("x.png --html no/page.html", "--html: there is no folder"),
        ("x.png --ray auto", "--out FOLDER/"),
        ("x.png --ray auto --out s.csv", "--out FOLDER/"),
        ("x.png --ray auto --out s/ --sort", "--sort"),
        ("x.png --ray auto --out s/ --html p.html", "--html"),
    ],
)
def test_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["score", *shlex.split(arguments)])
    assert result.exit_code == 2
    assert word in result.stderr
    assert result.stdout == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


ODD = ["a,b.png", 'quote"d.png', "new\nline.png", "[red]markup[/red].png", "ünïcode.png",
       "\x1b[2Jclear.png", "tab\t.png"]  # fmt: skip


@pytest.mark.parametrize("form", [form for form in Format if form is not Format.parquet])
@pytest.mark.parametrize("name", ODD)
def test_a_path_is_data(form: Format, name: str) -> None:
    rows = [Row(name, 0.5), Row("z", None, "why, \nindeed")]
    text = "".join(render(rows, form, layout_for("sig")))
    if form is Format.csv:
        cells = list(csv.reader(io.StringIO(text, newline="")))
        assert cells[1:] == [[name, "0.500000", "", "", "", "sig"],
                            ["z", "", "why, \nindeed", "", "", "sig"]]  # fmt: skip
    elif form is Format.table:
        assert len(text.splitlines()) == 3
        assert "\x1b" not in text
        assert name.encode("unicode_escape").decode() in text or name in text
    else:
        lines = text.splitlines() if form is Format.jsonl else [text]
        first = json.loads(lines[0])
        assert (first if form is Format.jsonl else first["images"][0])["path"] == name
