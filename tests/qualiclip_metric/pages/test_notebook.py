"""Tables of scores in notebooks: thumbnails, escaping, and what pandas does with the rows."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from qualiclip_metric.pages.notebook import ImagePosition, Scores, scores_table

PICTURE = "data:image/jpeg;base64,"


def in_memory(count: int = 3) -> Scores:
    arrays = np.random.default_rng(0).integers(0, 256, (count, 40, 40, 3), np.uint8)
    rows = [
        {"path": ImagePosition.of(k, array), "score": k / 10, "error": None}
        for k, array in enumerate(arrays)
    ]
    return scores_table(rows, "lite|T:4")


@pytest.mark.parametrize(
    ("derive", "rows"),
    [
        (lambda t: t[t.score > 0.05], 2),
        (lambda t: t.copy(), 3),
        (lambda t: t.head(2), 2),
        (lambda t: t.sort_values("score"), 3),
        (lambda t: pd.concat([t, t])[lambda u: u.score > 0.05], 4),
        (lambda t: t.merge(t[["path"]]).head(), 3),
        (lambda t: pickle.loads(pickle.dumps(t)), 3),
    ],
    ids=["filter", "copy", "head", "sort", "concat", "merge", "pickle"],
)
def test_thumbnails_survive_what_pandas_does(derive: Callable[[Any], Any], rows: int) -> None:
    table = derive(in_memory())
    assert isinstance(table, Scores)
    html = table._repr_html_()
    assert html is not None and html.count(PICTURE) == len(table) == rows


def test_files_failures_and_positions_in_one_table(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    wide = np.zeros((500, 4000, 3), np.uint8)
    rows = [
        {"path": str(tmp_path / "a.png"), "score": 0.25, "error": None},
        {"path": str(tmp_path / "<b>gone.png"), "score": None, "error": "no such file"},
        {"path": ImagePosition.of(2, wide), "score": 0.5, "error": None},
    ]
    table = scores_table(rows, "lite|T:<4>")
    html = table._repr_html_() or ""
    assert html.count(PICTURE) == 2
    assert "<b>0.2500</b>" in html and "no such file" in html and "lite|T:&lt;4&gt;" in html
    assert "&lt;b&gt;gone.png" in html and "<b>gone" not in html
    assert "data:" not in (table[["path"]]._repr_html_() or "")
    (tmp_path / "a.png").unlink()
    assert (table._repr_html_() or "").count(PICTURE) == 1


def test_other_columns_are_shown_as_pandas_does() -> None:
    table = in_memory()
    assert "[1, 2]" in (table.assign(tags=[[1, 2]] * 3)._repr_html_() or "")
    for other in (table.astype({"score": str}), pd.concat([table, table], axis=1)):
        assert PICTURE not in other._repr_html_()


def test_a_long_table_shows_its_first_rows() -> None:
    html = pd.concat([in_memory(1)] * 70)._repr_html_()
    assert html.count("<tr>") == 61
    assert "60 of 70 rows" in html
