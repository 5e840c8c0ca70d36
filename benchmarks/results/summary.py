"""From a results folder to the rows of ``summary.csv``: each metric, dataset and split.

Knows score files and statistics; scores nothing, formats nothing (see ``tables.py``).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets.splits import random_tests
from benchmarks.results import folder as store
from benchmarks.stats.agreement import agreement
from benchmarks.stats.correlations import plcc, srcc
from qualiclip_metric.files import write_text

OFFICIAL = ("training", "validation", "test")
COLUMNS = (
    "dataset", "metric", "split", "n", "n_failed",
    "srcc", "srcc_low", "srcc_high", "krcc", "plcc", "plcc_low", "plcc_high",
    "plcc4", "plcc4_status", "plcc5", "plcc5_status", "rmse",
    "resolution", "subset", "seconds_per_image", "signature", "status",
    "n_splits", "srcc_mean", "srcc_median", "srcc_std", "plcc_mean", "plcc_median", "plcc_std",
)  # fmt: skip


@dataclass(frozen=True)
class Statistics:
    """What to compute.

    Attributes:
        resamples: Bootstrap resamples for the intervals.
        seed: Seed of the bootstrap.
        splits: Random splits grouped by reference; 0 leaves them out.
        split_seed: Their seed (ARNIQA's 27).
    """

    resamples: int = 10_000
    seed: int = 0
    splits: int = 10
    split_seed: int = 27


def note_unavailable(results: Path, dataset: str, reasons: dict[str, str | None]) -> None:
    """Record why metrics could not be built for a dataset; None strikes a metric out."""
    path = results / dataset / "unavailable.json"
    noted: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    noted = {k: v for k, v in {**noted, **reasons}.items() if v is not None}
    if noted or path.is_file():
        write_text(path, json.dumps(noted, indent=2, sort_keys=True) + "\n")


def summarise(results: Path, what: Statistics | None = None) -> pd.DataFrame:
    """One row per dataset, metric and split; columns :data:`COLUMNS`.

    Splits: ``all``; the official ones; ``random 10x`` (test parts of seeded random splits grouped
    by reference, with mean, median and standard deviation).

    Raises:
        ValueError: The folder holds no results.
    """
    chosen = what or Statistics()
    rows: list[dict[str, Any]] = []
    for dataset in store.datasets(results):
        frame, record = store.frame(results, dataset)
        for file in store.score_files(results, dataset):
            rows += _metric_rows(frame, record, file, chosen)
        unavailable = results / dataset / "unavailable.json"
        if unavailable.is_file():
            for metric, reason in json.loads(unavailable.read_text("utf-8")).items():
                base = {"dataset": record["label"], "metric": metric, "split": "all"}
                rows.append({**base, "n": 0, "subset": record["subset"], "status": reason})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _metric_rows(
    frame: pd.DataFrame, record: dict[str, Any], file: store.ScoreFile, what: Statistics
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
        "status": "ok",
    }
    unscored = int(merged["error"].isna().sum())
    if unscored:
        base["status"] = f"incomplete: {len(merged) - unscored} of {len(merged)} images scored"
    parts = [("all", merged)]
    present = [name for name in OFFICIAL if (merged["split"] == name).any()]
    parts += [(name, merged[merged["split"] == name]) for name in present]
    rows = [{**base, "split": name, **_figures(part, what)} for name, part in parts]
    if what.splits:
        rows += _random(merged, base, what)
    return rows


def _figures(part: pd.DataFrame, what: Statistics) -> dict[str, Any]:
    good = part[np.isfinite(part["score"])]
    figures = agreement(good["score"], good["mos"], resamples=what.resamples, seed=what.seed)
    seconds = good.loc[good["seconds"] > 0, "seconds"]
    return {
        **figures.record(),
        "n_failed": int(part["error"].fillna("").ne("").sum()),
        "seconds_per_image": float(seconds.median()) if len(seconds) else float("nan"),
    }


def _random(merged: pd.DataFrame, base: dict[str, Any], what: Statistics) -> list[dict[str, Any]]:
    """The row over random splits, or none where there are too few references."""
    ordered = merged.sort_values("image", ignore_index=True)
    keys = [r or i for r, i in zip(ordered["reference"], ordered["image"], strict=True)]
    if len(set(keys)) < 5:
        return []
    tests = random_tests(keys, splits=what.splits, seed=what.split_seed)
    s, p = [], []
    for rows in tests:
        part = ordered.iloc[rows]
        part = part[np.isfinite(part["score"])]
        s.append(srcc(part["score"], part["mos"]))
        p.append(plcc(part["score"], part["mos"]))
    row = {
        **base,
        "split": f"random {what.splits}x",
        "n": int(np.median([len(rows) for rows in tests])),
        "n_splits": what.splits,
    }
    for name, values in (("srcc", np.array(s)), ("plcc", np.array(p))):
        row[f"{name}_mean"] = float(values.mean())
        row[f"{name}_median"] = float(np.median(values))
        row[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return [row]
