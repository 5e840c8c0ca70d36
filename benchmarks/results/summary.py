"""Summarise a results folder: the figures of each metric, data set and split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets.splits import random_tests
from benchmarks.formatting import write_json
from benchmarks.results.folder import ScoreFile, dataset_names, read_frame, score_files
from benchmarks.results.store import write_parquet
from benchmarks.results.summary_markdown import summary_markdown
from benchmarks.stats.agreement import agreement
from benchmarks.stats.bootstrap import FEWEST_IMAGES
from benchmarks.stats.correlations import plcc, srcc
from qualiclip_metric.files import write_text

__all__ = [
    "COLUMNS",
    "Statistics",
    "note_unavailable",
    "summarise",
    "write_summary",
]

OFFICIAL = ("training", "validation", "test")
COLUMNS = (
    "dataset", "metric", "split", "n", "n_failed",
    "srcc", "srcc_low", "srcc_high", "krcc", "plcc", "plcc_low", "plcc_high",
    "plcc4", "plcc4_status", "plcc5", "plcc5_status", "rmse",
    "resolution", "subset", "seconds_per_image", "signature", "status",
    "n_splits", "srcc_mean", "srcc_median", "srcc_std", "plcc_mean", "plcc_median", "plcc_std",
)  # fmt: skip

FEWEST_REFERENCES = 5
"""With fewer references there is no fifth of them to test on."""


@dataclass(frozen=True)
class Statistics:
    """Settings of the statistics."""

    resamples: int = 10_000  # bootstrap resamples for the intervals; 0 leaves the intervals out
    seed: int = 0
    splits: int = 10  # random splits grouped by reference; 0 leaves them out
    split_seed: int = 27  # their seed (ARNIQA's 27)


def note_unavailable(results: Path, dataset: str, reasons: dict[str, str | None]) -> None:
    """Record in ``unavailable.json`` why metrics cannot be built; None removes a reason."""
    path = results / dataset / "unavailable.json"
    noted: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    noted = {k: v for k, v in {**noted, **reasons}.items() if v is not None}
    if noted or path.is_file():
        write_text(path, json.dumps(noted, indent=2, sort_keys=True) + "\n")


def write_summary(results: Path, what: Statistics) -> str:
    """Write ``summary.csv``, ``.json``, ``.md`` and ``.parquet``; return the Markdown."""
    rows = summarise(results, what)
    text = summary_markdown(rows, label_remarks(results))
    write_text(results / "summary.csv", rows.to_csv(index=False))
    write_json(results / "summary.json", {"format": 1, "rows": rows.to_dict("records")})
    write_text(results / "summary.md", text)
    write_parquet(rows, results / "summary.parquet", {"format": 1})
    return text


def summarise(results: Path, what: Statistics | None = None) -> pd.DataFrame:
    """Compute the figures of all scores: a row per data set, metric and split, :data:`COLUMNS`.

    The splits are ``all``, the official ones, and ``random 10x``: the test parts of seeded random
    splits grouped by reference, with mean, median and standard deviation. ``status`` is ``ok`` or
    says what is missing: ``FAILED ...`` where the metric scored no image at all.
    """
    chosen = what or Statistics()
    rows: list[dict[str, Any]] = []
    for dataset in dataset_names(results):
        frame, record = read_frame(results, dataset)
        for file in score_files(results, dataset):
            rows += _metric_rows(frame, record, file, chosen)
        unavailable = results / dataset / "unavailable.json"
        if unavailable.is_file():
            for metric, reason in json.loads(unavailable.read_text("utf-8")).items():
                base = {"dataset": record["label"], "metric": metric, "split": "all"}
                rows.append({**base, "n": 0, "subset": record["subset"], "status": reason})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def label_remarks(results: Path) -> list[str]:
    """List differences to the release's labels, and identical files whose labels differ.

    No score can be right for both of two identical files.
    """
    remarks = []
    for dataset in dataset_names(results):
        frame, record = read_frame(results, dataset)
        if remark := record.get("remark"):
            remarks.append(f"{dataset}: {remark}")
        differ = frame.groupby("digest")["mos"].transform("nunique") > 1
        if differ.any():
            names = ", ".join(frame.loc[differ, "image"].astype(str).head(4))
            remarks.append(
                f"{dataset}: {int(differ.sum())} images are identical files with different MOS, "
                f"e.g. {names}"
            )
    return remarks


def _metric_rows(
    frame: pd.DataFrame, record: dict[str, Any], file: ScoreFile, what: Statistics
) -> list[dict[str, Any]]:
    columns = file.rows[["digest", "score", "error", "seconds"]]
    merged = frame.merge(columns, on="digest", how="left", validate="many_to_one")
    merged["score"] = merged["score"] * (-1.0 if file.key.lower_is_better else 1.0)
    base = {
        "dataset": record["label"],
        "metric": file.key.metric,
        "resolution": file.key.resolution,
        "subset": record["subset"],
        "signature": file.key.signature,
        "status": _status(merged),
    }
    parts = [("all", merged)]
    present = [name for name in OFFICIAL if (merged["split"] == name).any()]
    parts += [(name, merged[merged["split"] == name]) for name in present]
    rows = [{**base, "split": name, **_figures(part, what)} for name, part in parts]
    if what.splits and rows[0]["n"]:
        rows += _random_rows(merged, base, what)
    return rows


def _status(merged: pd.DataFrame) -> str:
    """``ok``, or how many images lack a score, and why where all of them do."""
    failed = merged.loc[merged["error"].fillna("").ne(""), "error"]
    if len(failed) and not np.isfinite(merged["score"]).any():
        return f"FAILED on all {len(failed)} image(s): {failed.mode().iloc[0]}"
    unscored = int(merged["error"].isna().sum())
    if unscored:
        return f"incomplete: {len(merged) - unscored} of {len(merged)} images scored"
    return "ok"


def _figures(part: pd.DataFrame, what: Statistics) -> dict[str, Any]:
    good = part[np.isfinite(part["score"])]
    figures = agreement(good["score"], good["mos"], resamples=what.resamples, seed=what.seed)
    seconds = good.loc[good["seconds"] > 0, "seconds"]
    return {
        **figures.as_dict(),
        "n_failed": int(part["error"].fillna("").ne("").sum()),
        "seconds_per_image": float(seconds.median()) if len(seconds) else float("nan"),
    }


def _random_rows(
    merged: pd.DataFrame, base: dict[str, Any], what: Statistics
) -> list[dict[str, Any]]:
    """The row over random splits; none where there are too few references for a test part."""
    ordered = merged.sort_values("image", ignore_index=True)
    groups = [r or i for r, i in zip(ordered["reference"], ordered["image"], strict=True)]
    if len(set(groups)) < FEWEST_REFERENCES:
        return []
    tests = random_tests(groups, splits=what.splits, seed=what.split_seed)
    size = int(np.median([len(rows) for rows in tests]))
    row = {**base, "split": f"random {what.splits}x", "n": size, "n_splits": what.splits}
    if size < FEWEST_IMAGES:
        reason = f"left out: test parts of {size} image(s), fewer than {FEWEST_IMAGES}"
        return [{**row, "status": reason}]
    parts = [ordered.iloc[rows] for rows in tests]
    scored = [part[np.isfinite(part["score"])] for part in parts]
    for name, figure in (("srcc", srcc), ("plcc", plcc)):
        values = np.array([figure(part["score"], part["mos"]) for part in scored])
        row[f"{name}_mean"] = float(values.mean())
        row[f"{name}_median"] = float(np.median(values))
        row[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return [row]
