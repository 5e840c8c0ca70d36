"""`qualiclip_metric.score`: a number for one image of any kind, a table for several."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pandas import DataFrame, read_parquet
from PIL import Image

import qualiclip_metric
from qualiclip_metric import ImageError, QualiCLIP, create
from qualiclip_metric.scoring import api
from qualiclip_metric.scoring.api import score


def test_every_kind_of_one_image_is_the_same_number(tiny: QualiCLIP, photos: list[Path]) -> None:
    with torch.inference_mode():
        expected = tiny(qualiclip_metric.read(photos[0])[None]).item()
    with Image.open(photos[0]) as picture:
        array = np.asarray(picture)
        from_bgr = array[:, :, ::-1].copy()[:, :, ::-1]  # strides are negative
        opaque = np.dstack([array, np.full_like(array[:, :, 0], 255)])
        kinds: list[Any] = [photos[0], str(photos[0]), picture, array, from_bgr, opaque]
        content = photos[0].read_bytes()
        kinds += [content, bytearray(content), io.BytesIO(content), f"file://{photos[0]}"]
        kinds += [{"bytes": content, "path": None}, {"bytes": None, "path": str(photos[0])}]
        for what in kinds:
            value = score(what, tiny)
            assert isinstance(value, float)
            assert value == pytest.approx(expected, abs=1e-6)
        (grey,) = {score(what, tiny) for what in (array[:, :, 0], np.dstack([array[:, :, 0]] * 3))}
        assert grey != pytest.approx(expected, abs=1e-6)


def test_a_folder_is_a_table(tiny: QualiCLIP, photos: list[Path]) -> None:
    photos[1].write_bytes(b"")
    for what in (photos[0].parent, f"{photos[0].parent}/*.png"):
        table: Any = score(what, tiny)
        assert list(table.columns) == ["path", "score", "error"]
        assert list(table.path) == [str(path) for path in photos]
        assert table.score.isna().tolist() == [False, True] + [False] * 4
        assert table.error[1] == "the file is empty"
        assert table.attrs["signature"] == str(tiny.signature)


def test_a_list_may_mix_all_kinds(tiny: QualiCLIP, photos: list[Path]) -> None:
    array = np.asarray(Image.open(photos[2]))
    items = [photos[0], array, Image.fromarray(array[:10]), photos[2], photos[0]]
    table: Any = score(iter(items), tiny)
    assert list(table.path) == [str(photos[0]), "#1", "#2", str(photos[2]), str(photos[0])]
    assert table.score[1] == pytest.approx(table.score[3], abs=1e-6)
    assert table.score[0] == table.score[4]
    assert "at least 32x32" in table.error[2]


def test_an_empty_list_is_an_empty_table(tiny: QualiCLIP) -> None:
    table: Any = score([], tiny)
    assert table.empty


@pytest.mark.parametrize(
    "wrong",
    [
        3,
        None,
        {"a.png": 1},
        np.zeros((40, 40, 2), np.uint8),
        np.zeros((40, 40, 3)),
        torch.zeros(1, 3, 40, 40),
    ],
)
def test_anything_else_is_refused(tiny: QualiCLIP, wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        score(wrong, tiny)


@pytest.mark.parametrize("nothing", [None, float("nan"), "", b"", 3, {"bytes": None}, ["a.png"]])
def test_what_is_no_image_costs_its_row(tiny: QualiCLIP, photos: list[Path], nothing: Any) -> None:
    """A column of `datasets` has None where there is no image."""
    table: Any = score([photos[0], nothing, Image.open(photos[1])], tiny)
    assert table.score.isna().tolist() == [False, True, False]
    assert table.path[1] == "#1" and table.error[1]
    assert table.error.isna().tolist() == [True, False, True]


def test_a_name_that_is_gone_costs_its_row(tiny: QualiCLIP, photos: list[Path]) -> None:
    names = ["gone[1].png", "nothing/*.png", "memory://gone.png", str(photos[0])]
    table: Any = score(names, tiny)
    assert list(table.path) == names
    assert table.score.isna().tolist() == [True, True, True, False]


def test_a_table_is_scored_by_its_column_of_images(tiny: QualiCLIP, photos: list[Path]) -> None:
    names = [str(path) for path in photos[:3]]
    frame = DataFrame({"id": [1, 2, 3], "file": [*names[:2], None]}, index=[7, 8, 9])
    expected: Any = score(names[:2], tiny)
    columns = pa.table({"path": names[:2]})
    for what, column in ((frame, "file"), (frame.file, None), (columns, None)):
        table: Any = score(what, tiny, column=column)
        assert list(table.path[:2]) == names[:2]
        assert list(table.score[:2]) == list(expected.score)
        if what is not columns:
            assert list(table.index) == [7, 8, 9]
    with pytest.raises(ValueError, match="expected a column image, path, key, got id, file"):
        score(frame, tiny)


def test_a_table_can_be_written_to_parquet(
    tiny: QualiCLIP, photos: list[Path], tmp_path: Path
) -> None:
    table: Any = score([photos[0], np.asarray(Image.open(photos[1])), None], tiny)
    table.to_parquet(tmp_path / "t.parquet")
    there = read_parquet(tmp_path / "t.parquet")
    assert list(there.path) == [str(photos[0]), "#1", "#2"]
    assert there.attrs["signature"] == str(tiny.signature)


def test_a_shard_is_a_table_that_says_what_was_left_out(
    tiny: QualiCLIP, photos: list[Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(photos[0], "a/b.png")
        archive.writestr("a/b.txt", "a caption")
    table: Any = score(tmp_path / "p.zip", tiny)
    assert list(table.path) == [f"{tmp_path}/p.zip/a/b.png"]
    assert table.score[0] == score(photos[0], tiny)
    assert table.attrs["left_out"] == "left out: 1 .txt"


def test_one_bad_file_raises(tiny: QualiCLIP, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        score(tmp_path / "none.jpg", tiny)
    with pytest.raises(ValueError, match="no image found"):
        score(tmp_path, tiny)


def test_a_model_is_named_made_once_and_takes_the_options_of_create(
    random_lite: Path, photos: list[Path]
) -> None:
    value = qualiclip_metric.score(photos[0], random_lite)
    assert value == pytest.approx(qualiclip_metric.score(photos[0], create(random_lite)))
    table: Any = qualiclip_metric.score([photos[0]], random_lite, precision="bf16")
    assert "bf16" in table.attrs["signature"]


def test_a_named_model_is_kept_until_its_file_changes(random_lite: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(random_lite.read_bytes())
    first = api._kept(str(file), prompts=None)
    assert api._kept(str(file), prompts=None) is first
    assert api._kept(str(file), temperature=1.0) is not first
    os.utime(file, ns=(1, 1))
    assert api._kept(str(file), prompts=None) is not first


def test_a_table_shows_thumbnails(tiny: QualiCLIP, photos: list[Path]) -> None:
    table: Any = score([photos[0], np.asarray(Image.open(photos[2]))], tiny)
    assert isinstance(table, DataFrame)
    assert table._repr_html_().count("data:image/jpeg;base64,") == 2
