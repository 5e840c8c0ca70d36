"""Metrics x datasets -> score files: computes only what is missing, survives a kill.

Joins datasets, scorers, scoring and store; knows no statistics and prints nothing (progress goes
to a callback).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

import pandas as pd
import torch

from benchmarks.datasets import Dataset
from benchmarks.metrics.scorer import Scorer
from benchmarks.results import folder as store_results
from benchmarks.results.store import Key, Row, Store
from benchmarks.scoring.batches import Batch, Item, plan, score_batches
from benchmarks.scoring.image_info import facts
from benchmarks.scoring.processes import Settings, score_in_processes, threads_per_job


class Progress(Protocol):
    """What a run reports to."""

    def start(self, dataset: str, metric: str, total: int, done: int) -> None:
        """A metric begins on a dataset; ``done`` of ``total`` images were there already."""

    def advance(self, images: int) -> None:
        """Some images more."""

    def finish(self) -> None:
        """This metric is through with this dataset."""


@dataclass(frozen=True)
class Outcome:
    """What a run did for one metric on one dataset."""

    key: Key
    computed: int
    reused: int
    failed: int


def resolution(short_side: int | None) -> str:
    """The record of the resolution: ``native`` or ``short-side-448``."""
    return "native" if short_side is None else f"short-side-{short_side}"


def prepare(dataset: Dataset, results: Path) -> pd.DataFrame:
    """Digest every image, record the frame, and give it back with ``digest, height, width``."""
    paths = dataset.frame["path"].tolist()
    known = facts(paths, results / "images.parquet")
    frame = dataset.frame.copy()
    for column in ("digest", "height", "width"):
        frame[column] = known[column].to_numpy()
    store_results.write_frame(results, dataset, frame.drop(columns=["height", "width"]))
    return frame


def run(
    scorer: Scorer,
    settings: Settings,
    dataset: Dataset,
    frame: pd.DataFrame,
    results: Path,
    *,
    batch_size: int = 8,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Score what is missing of one metric on one dataset.

    Args:
        scorer: The metric, built.
        settings: How to score (and how child processes build the metric again).
        dataset: The dataset.
        frame: What :func:`prepare` gave.
        results: The results folder.
        batch_size: Most images in a batch.
        retry_failed: Score images again whose last attempt failed.
        progress: Told about every batch.

    Returns:
        Counts of images computed now, reused, and failed in all.

    Raises:
        Busy: Another process is writing these scores.
    """
    key = Key(
        dataset=dataset.name,
        metric=scorer.name,
        signature=scorer.signature,
        lower_is_better=scorer.lower_is_better,
        resolution="table" if scorer.table is not None else resolution(settings.short_side),
    )
    with Store(results, key) as store:
        before = store.rows()
        kept = before[before["error"] == ""] if retry_failed else before
        have = set(kept["digest"])
        batches = _missing(frame, have, batch_size if scorer.batched else 1)
        total = frame["digest"].nunique()
        todo = sum(len(batch) for batch in batches)
        if progress is not None:
            progress.start(dataset.label, scorer.name, total, total - todo)
        for rows in _rows(scorer, settings, batches):
            store.append(rows)
            if progress is not None:
                progress.advance(len(rows))
        if progress is not None:
            progress.finish()
        after = store.rows()
    mine = after[after["digest"].isin(set(frame["digest"]))]
    return Outcome(key, todo, total - todo, int((mine["error"] != "").sum()))


def _missing(frame: pd.DataFrame, have: set[str], batch_size: int) -> list[Batch]:
    """The batches of the whole dataset, less the images that are scored already."""
    unique = frame.drop_duplicates("digest")
    items = [
        Item(r["digest"], r["image"], r["path"], int(r["height"]), int(r["width"]))
        for r in unique.to_dict("records")
    ]
    batches = plan(items, batch_size)
    missing = [tuple(item for item in batch if item.digest not in have) for batch in batches]
    return [batch for batch in missing if batch]


def _rows(scorer: Scorer, settings: Settings, batches: Sequence[Batch]) -> Iterator[list[Row]]:
    if scorer.table is not None:
        yield from (_look_up(scorer.table, batch) for batch in batches)
    elif settings.jobs > 1 and len(batches) > 1:
        yield from score_in_processes(settings, batches)
    else:
        before = torch.get_num_threads()
        torch.set_num_threads(threads_per_job(replace(settings, jobs=1)))
        try:
            yield from score_batches(
                scorer, batches, short_side=settings.short_side, workers=settings.workers
            )
        finally:
            torch.set_num_threads(before)


def _look_up(table: dict[str, float], batch: Batch) -> list[Row]:
    """Published scores by the image's name in the set, its file name, or its stem."""
    rows = []
    for item in batch:
        path = PurePosixPath(item.image)
        name = next((n for n in (item.image, path.name, path.stem) if n in table), None)
        score = float("nan") if name is None else table[name]
        error = "the table has no score for this image" if math.isnan(score) else ""
        rows.append(Row(item.digest, item.image, score, error, 0.0, item.height, item.width))
    return rows
