"""`qualiclip score` on lists, tables and shards, into rows that a second run goes on with."""

import csv
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from qualiclip_metric import scoring
from qualiclip_metric.cli import app
from qualiclip_metric.files import exclusive_lock
from qualiclip_metric.scoring import parquet

Read = Callable[[Path], list[dict[str, Any]]]
SIZES = [(40, 48), (64, 40), (40, 48), (33, 50), (40, 48), (64, 40)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "7.png").write_text("no image")
    return folder


@pytest.fixture
def run(random_lite: Path) -> Any:
    def call(*arguments: str | Path, model: Path = random_lite, stdin: Any = None) -> Outcome:
        words = ["score", *map(str, arguments), "-m", str(model), "--precision", "fp32"]
        return CliRunner().invoke(app, words, input=stdin)

    return call


def from_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", errors="surrogateescape") as file:
        return [{**row, "key": row["path"]} for row in csv.DictReader(file)]


def from_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**row, "key": row["path"]} for row in rows]


def from_parts(folder: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


FORMS: dict[str, tuple[str, Read]] = {
    "csv": ("scores.csv", from_csv),
    "jsonl": ("scores.jsonl", from_jsonl),
    "parts": ("scores/", from_parts),
}
every_form = pytest.mark.parametrize("form", FORMS)


def place(form: str, folder: Path) -> tuple[str, Read]:
    name, read = FORMS[form]
    return f"{folder}/{name}", read


def started(form: str, out: str) -> Path:
    """Where the rows are before all are there."""
    return Path(out if form == "parts" else f"{out}.part")


# --- going on --------------------------------------------------------------------------------


@every_form
def test_a_signal_finishes_the_batch_and_the_same_command_goes_on(
    run: Any,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    """The other signals, and rows equal to the last bit: tests/faults/test_kills.py."""
    out, read = place(form, tmp_path)
    original, batches, listed = scoring.score_items, 0, 0

    def counting(metric: Any, items: Any, *args: Any, **options: Any) -> Any:
        def count(items: Any) -> Iterator[Any]:
            nonlocal listed
            for item in items:
                listed += 1
                yield item

        def stop_at_two(_done: int) -> None:
            nonlocal batches
            batches += 1
            if batches == 2:
                os.kill(os.getpid(), signal.SIGTERM)

        return original(metric, count(items), *args, **options, progress=stop_at_two)

    monkeypatch.setattr(scoring, "score_items", counting)
    ended = run(photos, "--out", out, "--batch-size", "1")
    assert ended.exit_code == 143
    assert "2 of 7 images" in ended.stderr
    assert "goes on" in ended.stderr
    first = read(started(form, out))
    assert [Path(row["key"]).name for row in first] == ["0.png", "1.png"]

    listed = 0
    assert run(photos, "--out", out).exit_code == 1  # one file is no image
    assert listed == 5
    rows = read(Path(out))
    assert rows[:2] == first
    assert [row["key"] for row in rows] == sorted(str(path) for path in photos.iterdir())


@every_form
def test_a_row_that_was_cut_off_is_made_again(
    run: Any, photos: Path, tmp_path: Path, form: str
) -> None:
    out, read = place(form, tmp_path)
    assert run(photos, "--out", out).exit_code == 1
    whole = read(Path(out))
    if form == "parts":  # a part is whole or not there
        (path,) = Path(out).glob("*.parquet")
        (Path(out) / f".{path.name}.abc.part").write_bytes(path.read_bytes()[:100])
    else:
        text = Path(out).read_bytes()
        end = text.rindex(b"\n", 0, -1) + 30  # in the middle of the last row
        Path(f"{out}.part").write_bytes(text[:end])
    assert run(photos, "--out", out).exit_code == 1
    assert read(Path(out)) == whole


@every_form
def test_rows_of_another_signature_are_refused(
    run: Any, photos: Path, tmp_path: Path, form: str
) -> None:
    out, read = place(form, tmp_path)
    image = photos / "0.png"
    run(image, "--out", out)
    before = read(Path(out))
    if form != "parts":
        Path(out).rename(f"{out}.part")
    refused = run(image, "--out", out, "--size", "64")
    assert refused.exit_code == 2
    assert "model:lite|" in refused.stderr
    assert "|size:64|" in refused.stderr.split("these would be of")[1]
    assert "--overwrite starts afresh" in refused.stderr
    assert read(started(form, out)) == before
    assert run(image, "--out", out, "--size", "64", "--overwrite").exit_code == 0
    assert len(read(Path(out))) == 1
    assert not Path(f"{out}.part").exists()


@every_form
def test_rows_with_the_signature_of_an_earlier_version_are_continued(
    run: Any, photos: Path, tmp_path: Path, form: str
) -> None:
    out, read = place(form, tmp_path)
    run(photos / "0.png", "--out", out)
    if form == "parts":
        (path,) = Path(out).glob("*.parquet")
        table = pq.read_table(path)
        held = table.schema.metadata[parquet.SIGNATURE].decode()
        metadata = {parquet.SIGNATURE: _as_0_1(held).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    else:
        text = Path(out).read_text()
        rows = read(Path(out))
        old = (
            text.replace(rows[0]["signature"], _as_0_1(rows[0]["signature"]))
            if (form == "csv")
            else text.replace(', "size": "native"', "")
        )
        assert old != text
        Path(f"{out}.part").write_text(old)
    assert run(photos / "0.png", photos / "1.png", "--out", out).exit_code == 0
    assert len(read(Path(out))) == 2


def _as_0_1(line: str) -> str:
    """A signature as versions before 0.2.0 wrote it."""
    renamed = {"model:": "", "temperature:": "T:", "precision:": "", "version:": "v"}
    for name, before in renamed.items():
        line = line.replace(name, before)
    return line.replace("|engine:torch|size:native", "")


@every_form
def test_errors_are_scored_again_when_asked(
    run: Any, photos: Path, tmp_path: Path, form: str
) -> None:
    out, read = place(form, tmp_path)
    late = tmp_path / "late.png"
    words = (photos / "0.png", late, photos / "1.png", "--out", out)
    assert run(*words).exit_code == 1
    assert [row["error"] for row in read(Path(out))][1] == "no such file"
    late.write_bytes((photos / "2.png").read_bytes())
    if form == "parts":  # an error is a row like others
        assert run(*words).exit_code == 1
    assert run(*words, "--retry-errors").exit_code == 0
    rows = read(Path(out))
    assert [Path(row["key"]).name for row in rows] == ["0.png", "1.png", "late.png"]
    assert not any(row["error"] for row in rows)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_complete_file_is_made_anew(run: Any, photos: Path, tmp_path: Path, form: str) -> None:
    """Only unfinished files are gone on with: photos may have changed since."""
    out, read = place(form, tmp_path)
    image = tmp_path / "a.png"
    scores = []
    for number in (0, 3):
        image.write_bytes((photos / f"{number}.png").read_bytes())
        assert run(image, "--out", out).exit_code == 0
        (row,) = read(Path(out))
        scores.append(row["score"])
    assert scores[0] != scores[1]


@every_form
def test_names_that_are_odd_are_found_again(
    run: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"=1.png", b'a "b", c.png', b"new\nline.png", b"\xff.png", "ü.png".encode()):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes((photos / "0.png").read_bytes())
    out, read = place(form, tmp_path)
    words = (*sorted(path.name for path in folder.iterdir()), "--out", out)
    monkeypatch.chdir(folder)
    assert run(*words).exit_code == 0
    assert len(read(Path(out))) == 5
    if form != "parts":
        Path(out).rename(f"{out}.part")
    assert run(*words).exit_code == 0
    assert len(read(Path(out))) == 5


def test_another_command_cannot_write_the_same(run: Any, photos: Path, tmp_path: Path) -> None:
    for out in (f"{tmp_path}/s.csv", f"{tmp_path}/s/"):
        with exclusive_lock(Path(out.rstrip("/"))):
            refused = run(photos, "--out", out)
        assert refused.exit_code == 2
        assert "another command" in refused.stderr
        assert run(photos / "0.png", "--out", out).exit_code == 0


# --- inputs and columns ----------------------------------------------------------------------


def test_a_list_on_stdin(run: Any, photos: Path) -> None:
    names = "".join(f"{photos / name}\0" for name in ("1.png", "0.png"))
    result = run("-", "--format", "jsonl", stdin=names)
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["1.png", "0.png"]


def test_shards_score_as_files_do(run: Any, photos: Path, tmp_path: Path) -> None:
    for number, names in enumerate((("0.png", "1.png", "7.png"), ("2.png", "3.png"))):
        with tarfile.open(tmp_path / f"s-{number}.tar", "w") as archive:
            for name in names:
                archive.add(photos / name, name)
    for options in ([], ["--timeout", "60"]):
        result = run(f"{tmp_path}/s-{{0..1}}.tar", "--format", "jsonl", *options)
        rows = {Path(r["path"]).name: r for r in map(json.loads, result.stdout.splitlines())}
        files = run(photos, "--format", "jsonl")
        expected = {Path(r["path"]).name: r for r in map(json.loads, files.stdout.splitlines())}
        assert list(rows) == ["0.png", "1.png", "7.png", "2.png", "3.png"]
        for name, row in rows.items():
            assert {**row, "path": ""} == {**expected[name], "path": ""}


@every_form
def test_columns_pairs_and_diagnoses(run: Any, photos: Path, tmp_path: Path, form: str) -> None:
    pq.write_table(
        pa.table({"path": [f"{n}.png" for n in (0, 1, 7)], "id": [5, 6, 7]}), tmp_path / "t.parquet"
    )
    out, read = place(form, tmp_path)
    options = ("--root", photos, "--pairs", "--out", out)
    assert run(tmp_path / "t.parquet", *options).exit_code == 1
    rows = read(Path(out))
    assert [int(row["id"]) for row in rows] == [5, 6, 7]
    assert [row["key"] for row in rows] == ["0.png", "1.png", "7.png"]
    names = [f"pair_{number}" for number in range(1, 8)]
    for row in rows[:2]:
        shares = row["pairs"] if form == "jsonl" else {name: row[name] for name in names}
        assert list(shares) == names
        assert float(row["score"]) == pytest.approx(np.mean([float(s) for s in shares.values()]),
                                                    abs=2e-6)  # fmt: skip
    assert not rows[2]["score"]
    if form == "parts":
        (path,) = Path(out).glob("*.parquet")
        assert pq.read_schema(path).field("id").type == pa.int64()
        assert (
            run(tmp_path / "t.parquet", "--root", photos, "--out", out).exit_code == 2
        )  # no pairs


def test_a_table_with_a_name_of_ours_is_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,score\na.png,1\n")
    result = run(tmp_path / "t.csv", "--format", "csv")
    assert result.exit_code == 2
    assert "rename them" in result.stderr


def test_parts_behind_a_url(run: Any, photos: Path) -> None:
    out = f"memory://{photos.name}/"
    for _ in range(2):
        assert run(photos, "--out", out).exit_code == 1
        assert len(list(parquet.read_rows(out))) == 7
