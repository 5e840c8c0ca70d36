"""`qualiclip score --ray`: the nodes score and write, this process counts."""

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from qualiclip_metric.cli.score_local import Counts, count_in_thread, end_of_run, run_errors
from qualiclip_metric.cli.terminal import INTERRUPTED, Stop, fail, stopping
from qualiclip_metric.distributed import cluster, data, inputs
from qualiclip_metric.files import first_line
from qualiclip_metric.progress import progress_bar
from qualiclip_metric.scoring import parquet
from qualiclip_metric.scoring.options import MetricOptions, OutputOptions, ScoreOptions
from qualiclip_metric.scoring.pipeline import WorkerError, in_background
from qualiclip_metric.scoring.results import DoneKeys, Output, open_output
from qualiclip_metric.sources.arguments import Sources
from qualiclip_metric.sources.item import is_url

PARTS_AHEAD = 64
"""Parts that may be written before they are counted here."""
SILENT_SECONDS = 60.0
"""Time without a part after which a message names the free CPUs and GPUs."""


def score_on_ray(
    address: str,
    sources: Sources,
    output: OutputOptions,
    metric_options: MetricOptions,
    scoring: ScoreOptions,
    device: str,
    cpus_per_worker: int,
    workers: int | None,
) -> int:
    """Score the images that have no row in a folder yet; return the exit code.

    Every node must see the images and the folder of Parquet parts (or a URL).
    """
    # after an interruption, a thread that still waits for rows must not start another Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    assert output.out is not None
    if not is_url(output.out):
        output = replace(output, out=f"{Path(output.out).absolute()}/")
    try:
        ray = cluster.connect(address)
    except ConnectionError as err:
        fail(err)
    try:
        with run_errors() as begun:
            say = partial(typer.echo, err=True)
            pool = data.plan(metric_options, device, cpus_per_worker, workers, say)
            layout = pool.layout(scoring, sources.columns)
            # after connecting: the workers of a killed driver have ended by then
            with open_output(output, layout) as there:
                begun.set()
                return _run(ray, pool, sources, there, scoring)
    finally:
        ray.shutdown()


def _run(ray: Any, pool: data.Pool, sources: Sources, output: Output, scoring: ScoreOptions) -> int:
    """Let the cluster work, count the parts; the exit code."""
    folder, counts = output.options.out or "", Counts.of(output.done)
    images = inputs.read(sources, pool.workers, output.done)
    parts = data.write(pool.score(images, scoring), folder, output.layout, pool.part_rows)
    with stopping() as stop, progress_bar("scoring", None, done=counts.done) as progress:
        count_in_thread(sources, progress)
        watch = _Watch(ray, stop)
        try:
            for rows, failed, below in in_background(parts, PARTS_AHEAD, watch):
                watch.since = time.monotonic()
                counts.done, counts.failed = counts.done + rows, counts.failed + failed
                counts.below += below
                progress.update(counts.done, failed=counts.failed)
        except ray.exceptions.RayError as err:
            raise WorkerError(_reason(err)) from err
        except KeyboardInterrupt:  # the second one
            stop.code = INTERRUPTED
    if not stop():
        return end_of_run(sources, counts, scoring.bar, stop)
    # some parts were written and not counted
    counts = Counts.of(DoneKeys(parquet.read_rows(folder), scoring.keeps))
    note = f"the rows are in {folder}; the same command goes on"
    return end_of_run(sources, counts, scoring.bar, stop, note)


def _reason(err: Exception) -> str:
    """Reason of an error of Ray, whose text ends with the one on the node."""
    cause = getattr(err, "cause", None)
    return first_line(cause) if cause is not None else str(err).strip().splitlines()[-1]


class _Watch:
    """Whether to stop; asked while no part comes, it prints a message each minute."""

    def __init__(self, ray: Any, stop: Stop) -> None:
        self.ray, self.stop = ray, stop
        self.since = time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self.since > SILENT_SECONDS:
            self.since = time.monotonic()
            typer.echo(cluster.waiting_text(self.ray, "scoring"), err=True)
        return self.stop()
