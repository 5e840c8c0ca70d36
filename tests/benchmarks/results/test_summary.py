"""Rows of summary.csv and the text of summary.md."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.datasets import COLUMNS as FRAME_COLUMNS
from benchmarks.datasets import Dataset
from benchmarks.datasets.splits import random_tests
from benchmarks.results.folder import load, read_frame
from benchmarks.results.store import Key, Row, Store, write_parquet
from benchmarks.results.summary import Statistics, note_unavailable, summarise, write_summary
from benchmarks.results.summary_markdown import summary_markdown
from benchmarks.scoring.runner import prepare


def test_failed_images_are_counted_and_left_out(one):
    row = one("fair", "all")
    assert (row["n"], row["n_failed"]) == (119, 1)
    assert row["srcc"] > 0.5  # lower is better, and turned


def test_random_splits_are_grouped_and_summarised(folder, one):
    row = one("good", "random 4x")
    wide = load(folder).sort_values("image", ignore_index=True)
    figures = []
    for rows in random_tests(wide["reference"].tolist(), splits=4):
        part = wide.iloc[rows]
        figures.append(stats.spearmanr(part["table:good.csv"], part["mos"]).statistic)
    assert row["srcc_mean"] == pytest.approx(np.mean(figures))
    assert row["srcc_median"] == pytest.approx(np.median(figures))
    assert row["srcc_std"] == pytest.approx(np.std(figures, ddof=1))
    assert (row["n_splits"], row["n"]) == (4, 24)


def test_unavailable_metric_is_one_row(folder, summary):
    rows = summary[summary["metric"] == "pyiqa:musiq"]
    assert len(rows) == 1
    assert rows["n"].iloc[0] == 0
    assert "no network" in summary_markdown(summary)
    note_unavailable(folder, "part", {"x": "reason"})
    note_unavailable(folder, "part", {"x": None})
    kept = json.loads((folder / "part" / "unavailable.json").read_text())
    assert kept == {"pyiqa:musiq": "cannot be built here: no network"}


def test_unscored_images_are_said(folder, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(folder, copy)
    frame, record = read_frame(copy, "part")
    extra = frame.iloc[:1].assign(image="new.png", digest="new")
    write_parquet(pd.concat([frame, extra]), copy / "part" / "frame.parquet", record)
    rows = summarise(copy, Statistics(0, 0, 0)).set_index(["metric", "split"])
    row = rows.loc["table:good.csv", "all"]
    assert row["status"] == "incomplete: 120 of 121 images scored"


def scored(folder, count, metrics, label="set", **notes):
    """Results of ``count`` images without references; a metric is its name and its error."""
    names = [f"{i:02d}.png" for i in range(count)]
    for name in names:
        (folder / name).write_bytes(name.encode())
    frame = pd.DataFrame({"image": names, "mos": np.linspace(1, 5, count)})
    frame = frame.assign(path=[str(folder / name) for name in names], mos_std=np.nan, level=np.nan)
    frame = frame.assign(reference="", distortion="", split="")
    dataset = Dataset(label, "csv", label, frame[list(FRAME_COLUMNS)], count, 0, notes)
    digests = prepare(dataset, folder / "results")["digest"]
    rng = np.random.default_rng(0)
    for metric, error in metrics.items():
        with Store(
            folder / "results", Key(label, metric, f"{metric}|v1", False, "native")
        ) as store:
            store.append(
                Row(digest, name, float("nan") if error else rng.normal(), error, 0.1, 2, 2)
                for digest, name in zip(digests, names, strict=True)
            )
    return folder / "results"


REASON = "RuntimeError: no weights"


def test_a_metric_that_failed_on_every_image_says_so_and_spoils_nothing(command, tmp_path):
    results = scored(tmp_path, 30, {"a": "", "b": "", "broken": REASON})
    shown = command("summary", "--results", results, "--resamples", 20)
    row = next(line for line in shown.out.splitlines() if "| broken |" in line)
    assert f"| 0 | 30 | FAILED on all 30 image(s): {REASON} |" in row
    assert shown.out.count("| a | all | 30 | 0 |") == 1
    assert command("table", "--results", results).out.count("| broken | – | – |") == 1
    shown = command("compare", "--results", results, "--resamples", 20)
    assert "left out: broken" in shown.err
    assert "over 1 pairs" in shown.out
    shown = command("compare", "--results", results, "--metric", "a", "--metric", "broken", code=2)
    assert "set: not compared" in shown.err


def test_a_set_that_cannot_be_compared_is_named_and_the_next_is_compared(command, tmp_path):
    results = scored(tmp_path, 5, {"a": "", "b": ""}, "few")
    scored(tmp_path, 30, {"a": "", "b": ""}, "many")
    shown = command("compare", "--results", results, "--resamples", 20)
    assert "at least 20" in shown.err
    assert "## many" in shown.out


def test_no_interval_of_few_images(tmp_path):
    rows = summarise(scored(tmp_path, 4, {"a": ""}), Statistics(20, 0, 0))
    assert np.isnan(rows["srcc_low"][0]) and np.isfinite(rows["srcc"][0])


def test_labels_that_differ_from_the_release_or_among_equal_files_are_said(tmp_path):
    results = scored(tmp_path, 6, {"a": ""}, remark="DMOS is not the realigned one")
    frame, record = read_frame(results, "set")
    frame.loc[1, "digest"] = frame.loc[0, "digest"]
    write_parquet(frame, results / "set" / "frame.parquet", record)
    text = write_summary(results, Statistics(0, 0, 0))
    assert "DMOS is not the realigned one" in text
    assert "00.png, 01.png" in text


def test_one_score_is_enough_not_to_have_failed(tmp_path):
    results = scored(tmp_path, 6, {"a": "", "broken": REASON})
    key = Key("set", "broken", "broken|v1", False, "native")
    digest = read_frame(results, "set")[0]["digest"][0]
    with Store(results, key) as store:
        store.append([Row(digest, "00.png", 0.5, "", 0.1, 2, 2)])
    row = summarise(results, Statistics(0, 0, 0)).set_index("metric").loc["broken"]
    assert (row["n"], row["n_failed"], row["status"]) == (1, 5, "ok")


def test_random_splits_of_few_images_are_left_out_and_said(tmp_path):
    rows = summarise(scored(tmp_path, 12, {"a": ""}), Statistics(0, 0, 10))
    row = rows.set_index("split").loc["random 10x"]
    assert row["n"] == 2 and np.isnan(row["srcc_median"])
    assert row["status"] == "left out: test parts of 2 image(s), fewer than 20"
    text = summary_markdown(rows)
    assert "test parts of 2" in text
    assert "## Random splits" not in text


def test_summary_table_and_compare_commands(command, folder):
    shown = command("summary", "--results", folder, "--resamples", 20, "--splits", 2)
    assert shown.out.startswith("# Summary")
    record = json.loads((folder / "summary.json").read_text())
    assert record["format"] == 1
    assert {row["metric"] for row in record["rows"]} >= {"table:good.csv", "pyiqa:musiq"}
    assert len(pd.read_csv(folder / "summary.csv")) == len(record["rows"])
    for form, mark in {"md": "| metric |", "latex": r"\toprule", "csv": "srcc"}.items():
        shown = command("table", "--results", folder, "--format", form, "--value", "srcc")
        assert mark in shown.out
    shown = command("compare", "--results", folder, "--resamples", 100)
    assert "row − column" in shown.out
    assert len(pd.read_csv(folder / "compare-part.csv")) == 3


def test_rejection_reads_the_scores_of_a_folder(folder, command, tmp_path):
    out = tmp_path / "rates.json"
    words = ["rejection", "--results", folder, "--metric", "table:good.csv"]
    words += ["--metric", "table:poor.csv"]
    shown = command(*words, "--percentile", 20, "--resamples", 200, "--out", out)
    good, poor = json.loads(out.read_text())["rows"]
    assert good["caught"] > 0.6 > 0.4 > poor["caught"]
    assert good["caught_low"] < good["caught"] < good["caught_high"]
    assert "| 20 % | table:good.csv |" in shown.out and "of the better half" in shown.out
    shown = command("rejection", "--results", folder, "--metric", "none", code=2)
    assert "no metric none" in shown.err
