"""Score batches in processes that each build the metric; one that hangs or dies ends no run."""

import functools
import math
import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch

from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import MetricError, Scorer
from benchmarks.results.store import Row
from benchmarks.scoring.batches import Batch, score_batches

__all__ = ["Settings", "score_in_processes", "threads_per_job"]


@dataclass(frozen=True)
class Settings:
    """How to score; the same for every process."""

    metric: str  # the ``--metric`` text
    device: str | None = None  # torch device, None for the default
    precision: str = "fp32"  # ``fp32`` or ``bf16``
    short_side: int | None = None  # short side in pixels, None for native
    workers: int = 0  # decoding threads per scoring process
    jobs: int = 1  # scoring processes
    # torch threads per scoring process; None shares the cores among the jobs
    threads: int | None = None
    # seconds without a finished batch after which the metric is stopped; None waits
    timeout: float | None = None
    # address of the Ray cluster that scores, in workers of ``threads`` cores; None: here
    ray: str | None = None


def score_in_processes(settings: Settings, batches: Sequence[Batch]) -> Iterator[list[Row]]:
    """Score batches in ``settings.jobs`` processes, in the order in which they are finished.

    If the metric hangs, the last rows are those of the batches in hand, with the time limit as
    their error.
    """
    others = set(mp.active_children())
    pool = ProcessPoolExecutor(
        settings.jobs,
        mp.get_context("spawn"),
        initializer=_start,
        initargs=(threads_per_job(settings),),
    )
    waiting: dict[Future[list[Row]], Batch] = {}
    try:
        pool.submit(_build, settings).result()  # the time limit is for scoring, not for starting
        waiting = {pool.submit(_score, settings, batch): batch for batch in batches}
        while waiting:
            done, _ = wait(waiting, settings.timeout, FIRST_COMPLETED)
            if not done:
                yield _stopped_rows(settings, [*waiting.values()][: settings.jobs])
                raise MetricError(_limit(settings))
            for future in sorted(done, key=lambda one: one.exception() is not None):
                yield future.result()
                del waiting[future]
    except BrokenProcessPool as err:
        raise MetricError(
            f"a scoring process of {settings.metric} died (out of memory?); what is "
            "scored is kept, and the same command goes on from there"
        ) from err
    finally:
        if waiting:
            for child in set(mp.active_children()) - others:
                child.kill()
        pool.shutdown(cancel_futures=True)


def threads_per_job(settings: Settings) -> int:
    """Number of torch threads of each process."""
    return settings.threads or max(1, (os.cpu_count() or 1) // settings.jobs)


def _limit(settings: Settings) -> str:
    return (
        f"{settings.metric} finished no batch in {settings.timeout:g} s (--metric-timeout) and was "
        "stopped; what is scored is kept"
    )


def _stopped_rows(settings: Settings, batches: Sequence[Batch]) -> list[Row]:
    """Rows of the batches that were in hand when the time ran out."""
    error = f"no score within {settings.timeout:g} s (--metric-timeout)"
    return [
        Row(item.digest, item.image, math.nan, error, 0.0, item.height, item.width)
        for batch in batches
        for item in batch
    ]


# What follows runs in the child processes.


def _start(threads: int) -> None:
    """Prepare a child: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@functools.cache
def _scorer(settings: Settings) -> Scorer:
    return build_scorer(settings.metric, device=settings.device, precision=settings.precision)


def _build(settings: Settings) -> None:
    """Build this process's metric; it stays here."""
    _scorer(settings)


def _score(settings: Settings, batch: Batch) -> list[Row]:
    (rows,) = score_batches(
        _scorer(settings), [batch], short_side=settings.short_side, workers=settings.workers
    )
    return rows
