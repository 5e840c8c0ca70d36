"""`qualiclip score --percentile --min --copy-kept`, and `qualiclip reference`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from qualiclip_metric.cli import app
from qualiclip_metric.reference import Reference


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 images of growing noise, in two folders."""
    top = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for folder in ("day1", "day2"):
        (top / folder).mkdir()
        for number in range(10):
            noise = rng.normal(128, 8 * number + 2, (40, 48, 3)).clip(0, 255)
            Image.fromarray(noise.astype(np.uint8)).save(top / folder / f"{number}.png")
    return top


@pytest.fixture
def run(random_lite: Path) -> Any:
    def call(command: str, *words: object, code: int = 0) -> Result:
        full = [command, *map(str, words), "--model", str(random_lite), "--precision", "fp32"]
        result = CliRunner().invoke(app, full)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture(scope="module")
def reference(random_lite: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos' own."""
    out = tmp_path_factory.mktemp("reference") / "mine.json"
    words = ["reference", "--images", photos, "--out", out, "--model", random_lite]
    result = CliRunner().invoke(app, [*map(str, words), "--name", "noisy photos"])
    assert result.exit_code == 0, result.output
    assert "noisy photos-" in result.stdout and "20 photos" in result.stdout
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_percentiles_in_every_format(
    run: Any, photos: Path, reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    run("score", photos, "--reference", reference, "--out", out)
    rows = rows_of(out)
    scores = np.array([float(row["score"]) for row in rows])
    found = [float(row["percentile"]) for row in rows]
    assert found == [Reference.load(reference).percentile(score) for score in scores]
    assert min(found) == 0 and max(found) == 100
    assert rows[0]["percentile"] == f"{found[0]:.1f}"
    assert "|reference:noisy photos-" in rows[0]["signature"]
    shown = run("score", photos, "--reference", reference, "--format", "json").stdout
    assert [row["percentile"] for row in json.loads(shown)["images"]] == found
    shown = run("score", photos, "--reference", reference).stdout
    assert shown.splitlines()[0].split() == ["score", "percentile", "image"]
    assert [float(line.split()[1]) for line in shown.splitlines()[1:21]] == found


def test_a_bar_gives_a_column_a_count_and_exit_code_3(
    run: Any, photos: Path, reference: Path, tmp_path: Path
) -> None:
    bar = ["--min-percentile", 30, "--reference", reference]
    out = tmp_path / "scores.jsonl"
    result = run("score", photos, *bar, "--out", out, code=3)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["keep"] for row in rows] == [row["percentile"] >= 30 for row in rows]
    below = [row["keep"] for row in rows].count(False)
    assert below == 6
    assert "6 of 20 images do not reach percentile>=30" in result.stderr
    run("score", photos, "--min", 0)
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    result = run("score", photos, bad, *bar, "--format", "csv", code=1)  # a failure comes first
    assert "6 of 21 images do not reach" in result.stderr
    assert f'{bad},,"not an image' in result.stdout or f"{bad},," in result.stdout


@pytest.mark.parametrize("name", ["scores.csv", "parts/"])
def test_a_resumed_run_counts_earlier_rows_and_refuses_another_bar(
    run: Any, photos: Path, reference: Path, tmp_path: Path, name: str
) -> None:
    if name.endswith("/"):
        pytest.importorskip("pyarrow", reason="parts are Parquet")
    out, bar = f"{tmp_path}/{name}", ["--min-percentile", 30, "--reference", reference]
    run("score", photos, *bar, "--out", out, code=3)
    if name == "scores.csv":  # as if it had been killed after 12 rows
        lines = Path(out).read_text().splitlines(keepends=True)
        Path(f"{out}.part").write_text("".join(lines[:13]))
    for other in (["--min-percentile", 31, "--reference", reference], ["--min", 0.1], []):
        result = run("score", photos, *other, "--out", out, code=2)
        assert "--overwrite" in result.stderr
    result = run("score", photos, *bar, "--out", out, code=3)
    assert "6 of 20 images do not reach" in result.stderr
    if name == "scores.csv":
        assert Path(out).read_text().splitlines(keepends=True) == lines
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(out)
        assert str(table.schema.field("keep").type) == "bool"
        assert table["keep"].to_pylist().count(False) == 6


def test_kept_files_are_copied_under_their_names_and_nothing_is_replaced(
    run: Any, photos: Path, reference: Path, tmp_path: Path
) -> None:
    kept, out = tmp_path / "kept", tmp_path / "scores.csv"
    words = ["--min-percentile", 30, "--reference", reference, "--copy-kept", kept]
    result = run("score", photos / "day1", photos / "day2", *words, "--out", out, code=3)
    assert f"14 kept images are in {kept}" in result.stderr
    expected = {row["path"] for row in rows_of(out) if row["keep"] == "true"}
    copies = {path.relative_to(kept): path for path in kept.rglob("*.png")}
    assert {str(photos / name) for name in copies} == expected
    assert all(path.read_bytes() == (photos / name).read_bytes() for name, path in copies.items())
    changed = next(iter(copies.values()))
    changed.unlink()
    changed.write_text("edited")
    result = run("score", photos, *words, code=1)
    assert "13 kept images are in" in result.stderr and "another file" in result.stderr
    assert changed.read_text() == "edited"


def test_paths_of_a_list_keep_their_names_below_its_root(
    run: Any, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("day1/0.png\nday2/1.png\n")
    kept = tmp_path / "kept"
    words = ["--from-file", tmp_path / "list.txt", "--root", photos]
    run("score", *words, "--min", 0, "--copy-kept", kept)
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*.png")) == [
        "day1/0.png", "day2/1.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--copy-kept", "kept"], "--min"),
        (["--min", "0.5", "--copy-kept", "{photos}/day1/kept"], "outside"),
        (["shard.tar", "--min", "0.5", "--copy-kept", "kept"], "shard.tar"),
        (["--reference", "{photos}/day1/0.png"], "qualiclip reference"),
        (["--reference", "nowhere.json"], "nowhere.json"),
        (["--percentile"], "qualiclip reference"),  # lite's, and this is another model
    ],
)
def test_refused(run: Any, photos: Path, words: list[str], message: str) -> None:
    result = run("score", photos, *(word.format(photos=photos) for word in words), code=2)
    assert message in result.output


def test_a_reference_of_too_few_photos_is_refused_and_bad_files_are_named(
    run: Any, photos: Path, tmp_path: Path
) -> None:
    words = ["--images", photos / "day1", "--out", tmp_path / "ref.json"]
    assert "at least 20" in run("reference", *words, code=1).stderr
    assert not (tmp_path / "ref.json").exists()
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    result = run("reference", "--images", photos, "--images", bad, *words[2:], code=1)
    assert f"{bad}: not an image" in result.stderr
    assert Reference.load(tmp_path / "ref.json").photos == 20


def test_the_page_shows_percentiles(
    run: Any, photos: Path, reference: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2", reason="pages are Jinja2's")
    page = tmp_path / "page.html"
    run("score", photos, "--reference", reference, "--min", 1, "--html", page, code=3)
    text = page.read_text(encoding="utf-8")
    assert text.count("below the bar") == 20
    assert "above 100 %" in text and "|reference:noisy photos-" in text
