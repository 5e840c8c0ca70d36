"""Runs: what is computed, reused, retried; what scores depend on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import MetricError
from benchmarks.results import folder as results
from tests.benchmarks.scoring.mini import score


def test_run_computes_only_what_is_missing(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    first, table = score(mini, out)
    assert (first.computed, first.reused, first.failed) == (13, 0, 1)  # the twin is scored once
    again, same = score(mini, out)
    assert (again.computed, again.reused, again.failed) == (0, 13, 1)
    pd.testing.assert_frame_equal(table, same)
    assert table["sharpness"].isna().sum() == 1
    twins = table.set_index("image")["sharpness"]
    assert twins["twin.png"] == twins["3.png"]
    Image.new("RGB", (16, 16)).save(mini.parent / "new.png")
    mini.write_text(mini.read_text() + "new.png,5,r7,test\n")
    assert score(mini, out)[0].computed == 1


def test_failed_images_keep_their_error_until_retried(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    (file,) = results.score_files(out, "mini")
    errors = file.rows.set_index("image")["error"]
    assert "bad.png" in errors["bad.png"]
    assert errors.drop("bad.png").eq("").all()
    assert score(mini, out, retry_errors=True)[0].computed == 1


@pytest.mark.usefixtures("forked")
def test_batch_size_workers_and_jobs_do_not_change_scores(mini: Path, tmp_path: Path) -> None:
    tables = [
        score(mini, tmp_path / "a", batch_size=1)[1],
        score(mini, tmp_path / "b", batch_size=5, workers=1)[1],
        score(mini, tmp_path / "c", batch_size=2, jobs=2)[1],
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_resolution_is_part_of_the_key(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    outcome, table = score(mini, out, short_side=16)
    assert outcome.computed == 13
    assert table.attrs["metrics"] == ["sharpness @native", "sharpness @short-side-16"]
    only = results.load(out, "mini", resolution="short-side-16")
    assert only.attrs["metrics"] == ["sharpness"]


def test_direction_is_turned_by_declaration(mini: Path, tmp_path: Path) -> None:
    column = "benchmarks.metrics.baselines:sharpness"
    raw = score(mini, tmp_path / "a", column)[1]
    turned = score(mini, tmp_path / "b", f"{column},lower_is_better=true")[1]
    np.testing.assert_array_equal(turned[column], -raw[column])
    assert turned.attrs["lower_is_better"] == {column: True}


def test_published_predictions(mini: Path, tmp_path: Path) -> None:
    table = tmp_path / "pred.csv"
    table.write_text("name,value\n0,5\n1.png,4\n2.png,\n")
    outcome, wide = score(
        mini, tmp_path / "r", f"table:{table},image=name,score=value,lower_is_better=true"
    )
    scores = wide.set_index("image")["table:pred.csv"]
    assert scores["0.png"] == -5
    assert scores["1.png"] == -4
    assert outcome.failed == 11
    table.write_text("name,value\n0,5\n0,6\n")
    with pytest.raises(MetricError, match="twice"):
        build_scorer(f"table:{table},image=name,score=value")
    with pytest.raises(MetricError, match="no column"):
        build_scorer(f"table:{table}")


def test_load_without_results(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results"):
        results.load(tmp_path)


def test_load_stacks_datasets(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    second = mini.with_name("second.csv")
    second.write_text(mini.read_text())
    score(second, out, "jpegsize")
    wide = results.load(out)
    assert wide.groupby("dataset").size().to_dict() == {"mini": 14, "second": 14}
    assert wide.attrs["metrics"] == ["sharpness", "jpegsize"]
    assert wide.loc[wide["dataset"] == "mini", "jpegsize"].isna().all()
    assert wide.attrs["datasets"]["mini"]["n"] == 14
    with pytest.raises(ValueError, match="third"):
        results.load(out, "third")
