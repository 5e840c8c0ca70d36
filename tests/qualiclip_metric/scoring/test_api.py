"""`qualiclip_metric.score`: a number for one image of any kind, a table for several."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pandas import DataFrame
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
        kinds: list[Any] = [photos[0], str(photos[0]), picture, array, from_bgr]
        for what in kinds:
            value = score(what, tiny)
            assert isinstance(value, float)
            assert value == pytest.approx(expected, abs=1e-6)


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
    assert list(table.path) == [str(photos[0]), 1, 2, str(photos[2]), str(photos[0])]
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
        b"bytes",
        {"a.png": 1},
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 3)),
        torch.zeros(1, 3, 40, 40),
    ],
)
def test_anything_else_is_refused(tiny: QualiCLIP, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a path, a Pillow image, an array \(H, W, 3\)"):
        score(wrong, tiny)


def test_one_bad_file_raises(tiny: QualiCLIP, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg: no such file"):
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
