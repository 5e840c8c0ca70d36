"""`qualiclip score --ray`: the same command on a cluster; this process counts, the nodes work."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qualiclip_metric.cli.stopping import Stop, stopping
from qualiclip_metric.cli.terminal import DATA_ERROR, fail
from qualiclip_metric.progress import progress_bar
from qualiclip_metric.streaming.items import in_background, is_url

if TYPE_CHECKING:
    from qualiclip_metric.distributed.data import Pool
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.streaming.rows import Layout
    from qualiclip_metric.streaming.sources import Sources

PARTS_AHEAD = 64
"""Parts that may be written before they are counted here."""

SILENT_SECONDS = 60.0
"""Time without a part after which a line says what the cluster has free."""


def score_on_ray(
    address: str,
    arguments: Sequence[str],
    sources: "Sources",
    out: str,
    options: "Options",
    *,
    opened: dict[str, Any],
    pool: dict[str, Any],
    overwrite: bool,
    retry_errors: bool,
) -> int:
    """Score on a cluster what has no row in a folder yet.

    Args:
        address: As `distributed.cluster.connect` takes it.
        arguments: Images, as the command was given them.
        sources: The same, opened.
        out: Folder of Parquet parts that every node sees, or URL.
        options: How images are decoded and batched.
        opened: Options of `distributed.read`.
        pool: Arguments of `distributed.data.plan`.
        overwrite: Whether to start afresh.
        retry_errors: Whether rows without a score are to be made again.

    Returns:
        The exit code.
    """
    from qualiclip_metric.distributed import cluster, data
    from qualiclip_metric.streaming import parts

    # what still waits for rows after an interruption must not start another Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    if not is_url(out):
        out = str(Path(out).absolute())
    ray = None
    try:
        ray = cluster.connect(address)
        workers = data.plan(**pool, say=lambda line: typer.echo(line, err=True))
        layout = workers.described.layout(options, sources.columns)
        with _claimed(out):
            if overwrite:
                parts.clear(out)
            parts.check_folder(out, layout)  # after connecting: a dead driver's workers are gone
            if retry_errors:
                parts.drop_failed(out)
            code = _run(ray, workers, arguments, sources, out, options, layout, opened)
    except (ImportError, ConnectionError, ValueError) as err:
        fail(err)
    finally:
        if ray is not None:
            ray.shutdown()
    typer.echo(layout.signature, err=True)
    return code


def _claimed(out: str) -> "AbstractContextManager[None]":
    from qualiclip_metric.streaming.partial import exclusive_lock

    return nullcontext() if is_url(out) else exclusive_lock(Path(out.rstrip("/")))


def _run(
    ray: Any,
    workers: "Pool",
    arguments: Sequence[str],
    sources: "Sources",
    out: str,
    options: "Options",
    layout: "Layout",
    opened: dict[str, Any],
) -> int:
    """Let the cluster work, count the parts; the exit code."""
    from qualiclip_metric import distributed
    from qualiclip_metric.distributed.data import part_rows
    from qualiclip_metric.streaming import parts

    done = parts.done_keys(out).total
    failed = parts.count_failed(out)
    images = distributed.remaining(
        distributed.read(arguments, workers=workers.workers, **opened), out
    )
    written = distributed.write(
        workers.score(images, options), out, layout, part_rows(workers.workers)
    )
    with stopping() as stop, progress_bar("scoring", None, done=done) as progress:
        _count_in_background(sources, progress)
        watch = _Watch(ray, stop)
        for rows, without_score in in_background(written, PARTS_AHEAD, watch):
            watch.since = time.monotonic()
            done, failed = done + rows, failed + without_score
            progress.update(done, failed=failed)
    if stop():
        done, failed = parts.done_keys(out).total, parts.count_failed(out)
    for line in (
        sources.note(),
        f"{failed} of {done} images could not be scored" if failed else "",
        f"interrupted: {done} images done; the rows are in {out}; the same command goes on"
        if stop()
        else "",
    ):
        if line:
            typer.echo(line, err=True)
    return stop.code or (DATA_ERROR if failed else 0)


def _count_in_background(sources: "Sources", progress: Any) -> None:
    """Tell the bar how many images there are, where somebody knows."""

    def count() -> None:
        try:
            progress.total = sources.count()
        except (OSError, ValueError):  # whoever reads them will say so
            return

    threading.Thread(target=count, daemon=True).start()


class _Watch:
    """Asked while no part comes: whether to stop; says so where none came for a minute.

    Args:
        ray: The package.
        stop: Whether the user asked for it.
    """

    def __init__(self, ray: Any, stop: Stop) -> None:
        self.ray, self.stop = ray, stop
        self.since = time.monotonic()

    def __call__(self) -> bool:
        from qualiclip_metric.distributed.cluster import waiting_text

        if time.monotonic() - self.since > SILENT_SECONDS:
            self.since = time.monotonic()
            typer.echo(waiting_text(self.ray, "scoring"), err=True)
        return self.stop()
