"""Score batches in several processes at once; each builds its own copy of the metric.

Knows processes and queues; knows no files of results (the parent writes them all). A child whose
parent was killed ends itself.
"""

import multiprocessing as mp
import os
import queue as queues
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.metrics.build import build
from benchmarks.metrics.scorer import MetricError
from benchmarks.results.store import Row
from benchmarks.scoring.batches import Batch, describe, score_batches


@dataclass(frozen=True)
class Settings:
    """How to score; the same for every process.

    Attributes:
        metric: The ``--metric`` text.
        device: torch device, None for the default.
        precision: ``fp32`` or ``bf16``.
        short_side: Short side in pixels, None for native.
        workers: Decoding threads per scoring process.
        jobs: Scoring processes.
        threads: torch threads per scoring process; None shares the cores among the jobs.
    """

    metric: str
    device: str | None = None
    precision: str = "fp32"
    short_side: int | None = None
    workers: int = 0
    jobs: int = 1
    threads: int | None = None


def score_in_processes(settings: Settings, batches: Sequence[Batch]) -> Iterator[list[Row]]:
    """Rows of every batch, in whatever order the processes finish them.

    Raises:
        MetricError: A process died or could not build the metric.
    """
    context = mp.get_context("spawn")
    queue: Any = context.Queue(maxsize=4 * settings.jobs)
    parts = [list(batches[job :: settings.jobs]) for job in range(settings.jobs)]
    children = [
        context.Process(target=_work, args=(settings, part, queue, os.getpid()))
        for part in parts
        if part
    ]
    for child in children:
        child.start()
    running = len(children)
    try:
        while running:
            if queue.empty() and any(child.exitcode not in (None, 0) for child in children):
                raise MetricError(
                    f"a scoring process of {settings.metric} died (out of memory?); what is "
                    "scored is kept, and the same command goes on from there"
                )
            try:
                kind, content = queue.get(timeout=1.0)
            except queues.Empty:
                continue
            if kind == "rows":
                yield content
            elif kind == "error":
                raise MetricError(content)
            else:
                running -= 1
    finally:
        for child in children:
            if running and child.is_alive():
                child.terminate()
            child.join()


def threads_per_job(settings: Settings) -> int:
    """Number of torch threads of each process."""
    return settings.threads or max(1, (os.cpu_count() or 1) // settings.jobs)


def _work(settings: Settings, batches: list[Batch], queue: Any, parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads_per_job(settings))
    try:
        scorer = build(settings.metric, device=settings.device, precision=settings.precision)
        for rows in score_batches(
            scorer, batches, short_side=settings.short_side, workers=settings.workers
        ):
            queue.put(("rows", rows))
    except Exception as err:  # reported by the parent
        queue.put(("error", describe(err)))
    else:
        queue.put(("done", None))


def _end_with(parent: int) -> None:
    """Leave as soon as the parent is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
