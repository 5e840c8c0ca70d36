"""Gather from a results folder all that the report page draws."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.formatting import is_number
from benchmarks.html import album
from benchmarks.report.agreement import against_best, agreement_panel, json_numbers
from benchmarks.report.gmad import gmad_panel
from benchmarks.report.measured import measured_panels
from benchmarks.results.folder import dataset_names, load
from benchmarks.results.summary import Statistics, summarise

__all__ = ["gather"]

MOS = "MOS"

LARGE_SHARE = 0.55
"""Of the budget for pictures, the share of those that are shown large."""
LARGE_SIDE, SMALL_SIDE = 320, 112


def gather(results: Path, *, budget: int, resamples: int, seed: int) -> dict[str, Any]:
    """Gather what the page shows of a results folder; ``budget`` is in bytes, for all pictures."""
    summary = _summary(results, Statistics(resamples, seed))
    datasets = [
        _dataset(results, name, summary, resamples=resamples, seed=seed)
        for name in dataset_names(results)
    ]
    pictures = _attach_pictures(datasets, budget)
    return {
        "datasets": datasets,
        "pictures": pictures,
        **measured_panels(results),
    }


def _summary(results: Path, what: Statistics) -> pd.DataFrame:
    """The summary as last written, or made now where there is none."""
    path = results / "summary.json"
    if not path.is_file():
        return summarise(results, what)
    return pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))["rows"])


def _dataset(
    results: Path, name: str, summary: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Any]:
    table = load(results, name)
    record = table.attrs["datasets"][name]
    metrics: list[str] = table.attrs["metrics"]
    lower = table.attrs["lower_is_better"]
    verdicts = against_best(table, metrics, resamples, seed)
    label_name = record.get("label_name", MOS)
    rows = summary[summary["dataset"] == record["label"]].to_dict("records")
    return {
        "name": name,
        "label": record["label"],
        # What the labels are: a set whose labels are no opinions says so in its record.
        "label_name": label_name,
        "label_note": record.get("label_note", ""),
        "record": record,
        "signatures": table.attrs["signatures"],
        "rows": _table_rows([row for row in rows if row["split"] == "all"], verdicts),
        "splits": [row for row in rows if row["split"] != "all"],
        "images": table["image"].astype(str).tolist(),
        "paths": table["path"].astype(str).tolist(),
        "mos": json_numbers(table["mos"].to_numpy(float)),
        "metrics": [agreement_panel(table, metric, lower[metric]) for metric in metrics],
        "gmad": gmad_panel(table, name, opinions=label_name == MOS, resamples=resamples, seed=seed),
    }


def _table_rows(rows: list[dict[str, Any]], verdicts: Any) -> list[dict[str, Any]]:
    """Summary rows, best first, with the place of the two best and the verdict on the others."""
    order = sorted(rows, key=lambda row: -(row["srcc"] if is_number(row["srcc"]) else -np.inf))
    scored = [row for row in order if is_number(row["srcc"])]
    places = {id(row): place for place, row in enumerate(scored[:2], start=1)}
    return [
        {**row, "place": places.get(id(row), 0), "verdict": verdicts.get(row["metric"], "")}
        for row in order
    ]


def _attach_pictures(datasets: list[dict[str, Any]], budget: int) -> list[str]:
    """Make one list of pictures, and give each data set the number of each image (-1: none).

    Images that are shown large get a larger picture, which the hover uses as well.
    """
    large: dict[str, None] = {}
    for dataset in datasets:
        for i in _shown_large(dataset):
            large[dataset["paths"][i]] = None
    small = dict.fromkeys(
        path for dataset in datasets for path in dataset["paths"] if path not in large
    )
    pictures: list[str] = []
    number: dict[str, int] = {}
    room = int(budget * (LARGE_SHARE if small else 1.0))
    for paths, side in ((list(large), LARGE_SIDE), (list(small), SMALL_SIDE)):
        made = album([Path(path) for path in paths], side=side, budget=room)
        room = max(0, budget - sum(map(len, made)))
        for path, picture in zip(paths, made, strict=True):
            number[path] = len(pictures) if picture else -1
            pictures += [picture] if picture else []
    for dataset in datasets:
        dataset["picture"] = [number[path] for path in dataset.pop("paths")]
    return pictures


def _shown_large(dataset: dict[str, Any]) -> list[int]:
    """Images in the galleries: the worst estimates and gMAD's pairs."""
    worst = [row[0] for m in dataset["metrics"] for row in (*m["over"], *m["under"])]
    pairs = [i for pair in dataset["gmad"].get("pairs", []) for i in pair[5:7] if i >= 0]
    return sorted({*worst, *pairs})
