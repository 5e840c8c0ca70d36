"""Parquet parts: what they hold, whole or not there, and what they say is done."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qualiclip_metric.scoring import ScoreOptions, parquet
from qualiclip_metric.scoring.columns import Layout, OtherRowsError, Row, layout_for, pair_columns
from qualiclip_metric.scoring.parquet import PartWriter
from qualiclip_metric.scoring.results import DoneKeys
from qualiclip_metric.sources.item import Item

GOOD = Row("a.png", 0.25, None, 48, 40)
BAD = Row("d.jpg", None, "the file is empty")
LAYOUT = layout_for("one|v1")


def write(folder: Path, *rows: Row, layout: Layout = LAYOUT) -> None:
    writer = PartWriter(str(folder), layout)
    for row in rows:
        writer.add(row)
    writer.flush()


def keys(folder: object) -> list[str]:
    return [key for key, _ in parquet.read_rows(str(folder))]


def missing(done: DoneKeys, names: Iterable[str]) -> list[str]:
    return [item.key for item in done.missing(Item(name, None) for name in names)]


def test_a_part_holds_the_rows_and_the_signature(tmp_path: Path) -> None:
    write(tmp_path, GOOD, BAD)
    (path,) = tmp_path.iterdir()
    table = pq.read_table(path)
    assert table.schema.metadata[b"qualiclip_metric.signature"] == b"one|v1"
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {"key": "string", "score": "double", "error": "string", "width": "int32",
                     "height": "int32"}  # fmt: skip
    assert table.to_pylist() == [
        {"key": "a.png", "score": 0.25, "error": None, "width": 48, "height": 40},
        {"key": "d.jpg", "score": None, "error": BAD.error, "width": None, "height": None},
    ]


def test_pairs_diagnoses_and_columns_that_pass_through(tmp_path: Path) -> None:
    names = pair_columns([("Good photo.", "Bad photo."), ("Sharp image.", "Blurry image.")], 2)
    options = ScoreOptions(diagnose=True, pairs=True)
    layout = layout_for("s", options, names, {"id": pa.int64(), "pair_x": None})
    pairs = dict(zip(names, (0.4, 0.6), strict=True))
    row = Row("k", 0.5, pairs=pairs, faults={"none": 0.1, "blur": 0.9},
              columns={"id": 7, "pair_x": [1]})  # fmt: skip
    write(tmp_path, row, Row("bad", None, "why", columns={"id": 8}), layout=layout)
    first, second = pq.read_table(tmp_path).to_pylist()
    assert first == {"key": "k", "score": 0.5, "error": None, "width": None, "height": None,
                     "fault": "blur", "probability": 0.9, "pair_good_photo": 0.4,
                     "pair_sharp_image": 0.6, "id": 7, "pair_x": "[1]"}  # fmt: skip
    assert (second["key"], second["id"], second["fault"]) == ("bad", 8, None)


@pytest.mark.parametrize("pairs", [[], [("Good.", "b"), ("good", "c")], [("!", "b"), ("x", "c")]])
def test_pairs_whose_words_do_not_tell_them_apart_are_numbered(
    pairs: list[tuple[str, str]],
) -> None:
    assert pair_columns(pairs, 2) == ("pair_1", "pair_2")


def test_a_column_cannot_have_a_name_of_ours() -> None:
    with pytest.raises(ValueError, match="height, score"):
        layout_for("s", passed=dict.fromkeys(("score", "height", "id")))


def test_parts_are_written_by_rows_and_by_time(tmp_path: Path) -> None:
    writer = PartWriter(str(tmp_path), LAYOUT, rows=2)
    for count in range(5):
        writer.add(Row(str(count), 0.5))
    assert keys(tmp_path) == ["0", "1", "2", "3"]
    writer.flush()
    later = PartWriter(str(tmp_path), LAYOUT, seconds=0.0)
    later.add(Row("5", 0.5))
    assert keys(tmp_path) == ["0", "1", "2", "3", "4", "5"]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_what_is_done_is_told_by_the_rows(tmp_path: Path, place: str) -> None:
    folder = str(tmp_path) if place == "folder" else f"memory://{tmp_path.name}"
    assert DoneKeys(parquet.read_rows(folder)).total == 0
    writer = PartWriter(folder, LAYOUT, rows=2)
    for row in (GOOD, BAD, GOOD, Row("ünïcode\udcff", 0.5)):
        writer.add(row)
    done, odd = DoneKeys(parquet.read_rows(folder)), parquet.valid_text("ünïcode\udcff")
    assert (done.total, done.failed) == (4, 1)
    asked = ("a.png", "a.png", "a.png", "d.jpg", "d.jpg", odd, "b")
    assert missing(done, asked) == ["a.png", "d.jpg", "b"]
    parquet.prepare_folder(folder, LAYOUT, retry_errors=True)
    assert sorted(keys(folder)) == ["a.png", "a.png", odd]
    parquet.prepare_folder(folder, LAYOUT, overwrite=True)
    assert parquet.part_paths(folder) == []


def test_a_part_without_good_rows_goes_when_errors_are_retried(tmp_path: Path) -> None:
    write(tmp_path, BAD, BAD)
    parquet.prepare_folder(str(tmp_path), LAYOUT, retry_errors=True)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_signature_are_refused_with_both(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    parquet.prepare_folder(str(tmp_path), LAYOUT)
    with pytest.raises(OtherRowsError, match=r"one\|v1.* two\|v1"):
        parquet.prepare_folder(str(tmp_path), layout_for("two|v1"))
    with pytest.raises(OtherRowsError, match="height, id;"):
        parquet.prepare_folder(str(tmp_path), layout_for("one|v1", passed={"id": None}))


def test_a_folder_of_other_parquet_files_is_left_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "data.parquet")
    write(tmp_path, GOOD)
    for overwrite in (False, True):
        with pytest.raises(OtherRowsError, match=r"data\.parquet"):
            parquet.prepare_folder(str(tmp_path), LAYOUT, overwrite=overwrite)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_part_that_was_being_written_is_no_part(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / ".part-00000002-aa.parquet.x1.part").write_bytes(b"PAR1 half")
    assert keys(tmp_path) == ["a.png"]


def test_a_table_of_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema"):
        parquet.write_file(f"{tmp_path}/a.parquet", pa.table({"key": ["a"]}))


def test_many_keys() -> None:
    done = DoneKeys((f"{count}.png", None) for count in range(5000))
    assert done.total == 5000
    names = [f"{count}.png" for count in (*range(6000), *range(5000))]
    assert missing(done, names) == names[5000:]
