"""The results folder: frames of data sets, and all scores as one wide table.

``<dataset>/frame.parquet`` and ``frame.json`` describe the images, ``<dataset>/*.parquet`` hold raw
scores (see ``store.py``).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.datasets import COLUMNS, Dataset
from benchmarks.results.store import FORMAT, Key, read, write_parquet
from qualiclip_metric.files import write_text

FRAME = "frame.parquet"


@dataclass(frozen=True)
class ScoreFile:
    """One metric's raw scores on one dataset."""

    key: Key
    rows: pd.DataFrame


def write_frame(results: Path, dataset: Dataset, frame: pd.DataFrame) -> None:
    """Record which images a dataset has here, with their digests, and its notes."""
    folder = results / dataset.name
    write_parquet(frame, folder / FRAME, {"format": FORMAT, "dataset": dataset.name})
    record = {
        "format": FORMAT,
        "dataset": dataset.name,
        "spec": dataset.spec,
        "title": dataset.title,
        "label": dataset.label,
        "n": len(frame),
        "n_labelled": dataset.count,
        "n_official": dataset.count_official,
        "subset": dataset.subset,
        **dataset.notes,
    }
    write_text(folder / "frame.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def dataset_names(results: Path) -> list[str]:
    """List the datasets in a results folder, sorted; ValueError where there are none."""
    names = sorted(path.parent.name for path in results.glob(f"*/{FRAME}"))
    if not names:
        raise ValueError(
            f"no results under {results}; make some with: python -m benchmarks run "
            f"--metric lite --dataset NAME=FOLDER --out {results}"
        )
    return names


def read_frame(results: Path, dataset: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a data set's frame, as :func:`write_frame` wrote it, and its record ``frame.json``."""
    folder = results / dataset
    if not (folder / FRAME).is_file():
        known = ", ".join(dataset_names(results))
        raise ValueError(f"no dataset {dataset!r} in {results}; it has {known}")
    record: dict[str, Any] = json.loads((folder / "frame.json").read_text(encoding="utf-8"))
    return pd.read_parquet(folder / FRAME), record


def score_files(results: Path, dataset: str) -> Iterator[ScoreFile]:
    """Iterate over a data set's score files, sorted by metric, then resolution and signature."""
    folder = results / dataset
    paths = {p.with_suffix("") for p in (*folder.glob("*.parquet"), *folder.glob("*.jsonl"))}
    found = []
    for path in paths - {folder / "frame"}:
        parquet = path.with_name(path.name + ".parquet")
        key, rows = read(parquet, path.with_name(path.name + ".jsonl"))
        if key is not None:
            found.append(ScoreFile(key, rows))
    yield from sorted(found, key=lambda f: (f.key.metric, f.key.resolution, f.key.signature))


def load(
    results: str | Path, dataset: str | None = None, resolution: str | None = None
) -> pd.DataFrame:
    """Load all scores as one wide table, every metric turned so that higher is better.

    Args:
        results: The results folder.
        dataset: One dataset; None stacks all.
        resolution: Only scores made at this resolution (``native``, ``short-side-448``).

    Returns:
        Columns ``dataset``, ``image``, ``path``, ``digest``, ``mos`` (higher is better),
        ``mos_std``, ``reference``, ``distortion``, ``level``, ``split``, then one float column per
        metric, NaN where not scored or failed. A metric with several resolutions or signatures in
        a set gets ``NAME @RESOLUTION`` or ``NAME #8HEX``. ``attrs`` holds ``metrics``,
        ``signatures``, ``lower_is_better`` (of the raw score) and ``datasets`` (the records).

    Raises:
        ValueError: Nothing is there.
    """
    root = Path(results)
    names = [dataset] if dataset is not None else dataset_names(root)
    parts = []
    attrs: dict[str, Any] = {"metrics": [], "signatures": {}, "lower_is_better": {}, "datasets": {}}
    for name in names:
        wide, attrs["datasets"][name] = read_frame(root, name)
        files = [f for f in score_files(root, name) if resolution in (None, f.key.resolution)]
        for column, file in zip(_columns([f.key for f in files]), files, strict=True):
            sign = -1.0 if file.key.lower_is_better else 1.0
            scores = file.rows.set_index("digest")["score"] * sign
            wide[column] = wide["digest"].map(scores).astype(float)
            if column not in attrs["metrics"]:
                attrs["metrics"].append(column)
            attrs["signatures"][column] = file.key.signature
            attrs["lower_is_better"][column] = file.key.lower_is_better
        wide.insert(0, "dataset", name)
        parts.append(wide)
    table = pd.concat(parts, ignore_index=True)
    first = ["dataset", "image", "path", "digest", *COLUMNS[2:]]
    table = table.reindex(columns=first + attrs["metrics"])
    table.attrs.update(attrs)
    return table


def _columns(keys: list[Key]) -> list[str]:
    """A distinct column name per key, the bare metric name where that is enough."""
    names = []
    for key in keys:
        same = [other for other in keys if other.metric == key.metric]
        if len(same) == 1:
            names.append(key.metric)
        elif len({other.resolution for other in same}) == len(same):
            names.append(f"{key.metric} @{key.resolution}")
        else:
            names.append(f"{key.metric} #{key.short}")
    return names
