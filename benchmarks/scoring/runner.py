"""Metrics x data sets -> score files: computes only what is missing, survives a kill."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd
import torch

from benchmarks.datasets import Dataset
from benchmarks.metrics.scorer import MetricError, Scorer
from benchmarks.results.folder import write_frame
from benchmarks.results.store import Key, Row, Store
from benchmarks.scoring.batches import Batch, Item, group_batches, score_batches
from benchmarks.scoring.image_info import image_info
from benchmarks.scoring.on_ray import score_on_ray
from benchmarks.scoring.processes import Settings, score_in_processes, threads_per_job

__all__ = ["RunResult", "prepare", "resolution", "run"]


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run for one metric on one data set."""

    key: Key  # where the scores are filed
    computed: int  # images scored now, failed ones counted
    reused: int  # images that an earlier run had scored, failed ones counted
    failed: int  # images without a score, of now and of earlier
    not_retried: int = 0  # images that failed in an earlier run and were not tried again
    reason: str = ""  # the most frequent error, "" where no image failed
    stopped: str = ""  # why the metric was stopped before the end, else ""


def resolution(short_side: int | None) -> str:
    """The record of the resolution: ``native`` or ``short-side-448``."""
    return "native" if short_side is None else f"short-side-{short_side}"


def prepare(dataset: Dataset, results: Path) -> pd.DataFrame:
    """Add every image's ``digest``, ``height`` and ``width`` to the frame, and record it."""
    known = image_info(dataset.frame["path"].tolist(), results / "images.parquet")
    frame = dataset.frame.copy()
    for column in ("digest", "height", "width"):
        frame[column] = known[column].to_numpy()
    write_frame(results, dataset, frame.drop(columns=["height", "width"]))
    return frame


def run(
    scorer: Scorer,
    settings: Settings,
    dataset: Dataset,
    frame: pd.DataFrame,
    results: Path,
    *,
    batch_size: int = 8,
    retry_errors: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RunResult:
    """Score what is missing of one metric on one data set.

    Child processes build the metric again from ``settings``. A metric that was stopped or fails has
    its reason in the result.
    """
    key = _key(scorer, settings, dataset)
    digests = set(frame["digest"])
    stopped = ""
    with Store(results, key) as store:
        before = store.rows()
        failed_before = set(before.loc[before["error"] != "", "digest"]) & digests
        have = set(before["digest"]) & digests
        if retry_errors:
            have -= failed_before
        done = len(have)
        progress(done, len(digests))
        batches = _missing(frame, have, batch_size if scorer.batched else 1)
        try:
            for rows in _rows(scorer, settings, batches):
                store.append(rows)
                done += len(rows)
                progress(done, len(digests))
        except MetricError as err:
            stopped = str(err)
        after = store.rows()
    errors = after.loc[after["digest"].isin(digests) & (after["error"] != ""), "error"]
    return RunResult(
        key,
        computed=done - len(have),
        reused=len(have),
        failed=len(errors),
        not_retried=0 if retry_errors else len(failed_before),
        reason=str(errors.mode().iloc[0]) if len(errors) else "",
        stopped=stopped,
    )


def _key(scorer: Scorer, settings: Settings, dataset: Dataset) -> Key:
    return Key(
        dataset=dataset.name,
        metric=scorer.name,
        signature=scorer.signature,
        lower_is_better=scorer.lower_is_better,
        resolution="table" if scorer.table is not None else resolution(settings.short_side),
    )


def _missing(frame: pd.DataFrame, have: set[str], batch_size: int) -> list[Batch]:
    """The batches of the whole dataset, less the images that are scored already."""
    unique = frame.drop_duplicates("digest")
    items = [
        Item(r["digest"], r["image"], r["path"], int(r["height"]), int(r["width"]))
        for r in unique.to_dict("records")
    ]
    batches = group_batches(items, batch_size)
    missing = [tuple(item for item in batch if item.digest not in have) for batch in batches]
    return [batch for batch in missing if batch]


def _rows(scorer: Scorer, settings: Settings, batches: Sequence[Batch]) -> Iterator[list[Row]]:
    if scorer.table is not None:
        yield from (_look_up(scorer.table, batch) for batch in batches)
    elif batches and settings.ray is not None:
        yield from score_on_ray(settings, batches)
    elif batches and (settings.timeout is not None or settings.jobs > 1):
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
