"""`qualiclip score` on this machine: rows with a progress bar, messages, an exit code."""

import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qualiclip_metric import scoring
from qualiclip_metric.cli._metric import all_devices, make_metric
from qualiclip_metric.cli.terminal import (
    BELOW_BAR,
    DATA_ERROR,
    INTERRUPTED,
    TERMINATED,
    USAGE_ERROR,
    Stop,
    Terminated,
    fail,
    stdout_errors,
    stopping,
)
from qualiclip_metric.files import error_text
from qualiclip_metric.progress import Progress, progress_bar
from qualiclip_metric.scoring.columns import Layout, Row, layout_for
from qualiclip_metric.scoring.options import Format, MetricOptions, OutputOptions, ScoreOptions
from qualiclip_metric.scoring.pipeline import WorkerError, names_of
from qualiclip_metric.scoring.results import DoneKeys, Output, open_output
from qualiclip_metric.sources.arguments import Sources
from qualiclip_metric.sources.item import Item

if TYPE_CHECKING:
    from qualiclip_metric.scoring.kept_files import KeptFiles

COUNT_SECONDS = 1.0
"""How long an interrupted command waits for the number of images."""


@dataclass
class LocalRun:
    """A run on this machine: its options, and the metric on the first device."""

    sources: Sources
    output: OutputOptions
    metric_options: MetricOptions
    scoring: ScoreOptions
    device: str
    html: Path | None = None
    kept: "KeptFiles | None" = None

    def __post_init__(self) -> None:
        self.devices = all_devices(self.device)
        self.metric = make_metric(self.metric_options, self.devices[0])

    def run(self) -> int:
        """Score the images that have no row yet; return the exit code."""
        with run_errors() as begun:
            layout = self._layout()
            with _page(self.html, layout) as draw, open_output(self.output, layout) as output:
                if self.html is not None and output.done.total:
                    raise ValueError(
                        f"--html: {output.done.total} rows are there already, whose images are not "
                        "scored again; --overwrite scores all, so that all are on the page"
                    )
                begun.set()
                code = self._write(output, draw)
        if not self.output.states_signature:
            typer.echo(layout.signature, err=True)
        return code

    def _layout(self) -> Layout:
        _, pairs = names_of(self.metric, self.scoring)
        return layout_for(str(self.metric.signature), self.scoring, pairs, self.sources.columns)

    def _write(self, output: Output, draw: Callable[[Iterable[Row]], Iterator[Row]]) -> int:
        counts, kept, before = Counts.of(output.done), self.kept, output.done.total
        on_stdout = self.output.out is None
        with stopping() as stop, stdout_errors() if on_stdout else nullcontext():
            items = output.missing(self.sources.items())
            scored = self._rows(kept.remember(items) if kept else items, stop)
            rows = counted(scored, counts, self.sources, stop, self._shows_bar())
            try:
                note = output.write(draw(kept.copy(rows) if kept else rows), stop)
            finally:
                scored.close()
        copies = kept.note(before) if kept else ""
        code = end_of_run(self.sources, counts, self.scoring.bar, stop, copies, note)
        return DATA_ERROR if kept and kept.failed and not stop() else code

    def _rows(self, items: Iterator[Item], stop: Stop) -> Generator[Row, None, None]:
        if len(self.devices) == 1:
            return scoring.score_items(
                self.metric, items, self.scoring, stopped=stop, device=self.metric.device
            )
        assert self.metric.signature is not None
        make = self.metric_options.with_auto_resolved(self.metric.signature).create
        return scoring.score_on_devices(make, self.devices, items, self.scoring, stopped=stop)

    def _shows_bar(self) -> bool:
        """Not if rows appear on the terminal as they come."""
        streams = self.output.out is None and not self.output.sort
        return not (streams and self.output.format is not Format.json and sys.stdout.isatty())


@contextmanager
def run_errors() -> Iterator[threading.Event]:
    """End the command at an error: exit code 1 if the event is set, as results are open, else 2."""
    begun = threading.Event()
    try:
        yield begun
    except (ValueError, WorkerError) as err:
        fail(err, DATA_ERROR if begun.is_set() else USAGE_ERROR)
    except OSError as err:
        fail(f"--out: {error_text(err)}", DATA_ERROR if begun.is_set() else USAGE_ERROR)


def _page(html: Path | None, layout: Layout) -> Any:
    """Context manager of a function that passes rows on, and draws them on the page, if any."""
    if html is None:
        return nullcontext(iter)
    from qualiclip_metric.pages.scores import score_page

    return score_page(html, layout.signature)


@dataclass
class Counts:
    """Numbers of images for the messages at the end of a run."""

    done: int  # have a row
    failed: int  # have a row without a score
    below: int  # have a score below the bar
    total: int | None = None  # were named; None while that is not known

    @classmethod
    def of(cls, done: DoneKeys) -> "Counts":
        """Those that have a row."""
        return cls(done.total, done.failed, done.below)


def counted(
    rows: Iterable[Row], counts: Counts, sources: Sources, stop: Stop, show: bool
) -> Iterator[Row]:
    """Pass rows on, count them, and show the progress; an interruption ends them."""
    with progress_bar("scoring", None, done=counts.done, show=show) as progress:
        counter = count_in_thread(sources, progress)
        try:
            for row in rows:
                counts.done += 1
                counts.failed += row.score is None
                counts.below += row.keep is False
                progress.update(counts.done, failed=counts.failed)
                yield row
        except KeyboardInterrupt:  # the second one
            stop.code = INTERRUPTED
        except Terminated:
            stop.code = TERMINATED
    if stop():
        counter.join(COUNT_SECONDS)
    counts.total = progress.total if stop() else counts.done


def count_in_thread(sources: Sources, progress: Progress) -> threading.Thread:
    """Count the images of all sources while the first are scored; `progress` gets the total."""

    def count() -> None:
        with suppress(OSError, ValueError):  # the thread that lists the images reports it
            progress.total = sources.count()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    return thread


def end_of_run(sources: Sources, counts: Counts, bar: str, stop: Stop, *notes: str) -> int:
    """Print the messages at the end of a run; return its exit code.

    `bar` is that of `ScoreOptions`; `notes` are further messages.
    """
    done, failed, below = counts.done, counts.failed, counts.below
    of = "" if counts.total is None else f" of {counts.total}"
    for line in (
        sources.note(),
        f"{failed} of {done} images could not be scored" if failed else None,
        f"{below} of {done} images do not reach {bar}" if bar else None,
        f"interrupted: {done}{of} images done" if stop() else None,
        *notes,
    ):
        if line:
            typer.echo(line, err=True)
    return stop.code or (DATA_ERROR if failed else BELOW_BAR if below else 0)
