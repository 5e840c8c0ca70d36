"""`qualiclip score` on this machine: rows with a progress bar, messages, an exit code."""

import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from qualiclip_metric import scoring
from qualiclip_metric.cli._metric import all_devices, make_metric
from qualiclip_metric.cli.terminal import (
    BELOW_BAR,
    DATA_ERROR,
    INTERRUPTED,
    TERMINATED,
    Stop,
    Terminated,
    fail,
    stdout_errors,
    stopping,
)
from qualiclip_metric.files import error_text
from qualiclip_metric.progress import progress_bar
from qualiclip_metric.scoring.columns import Layout, Row, layout_for
from qualiclip_metric.scoring.options import Format, MetricOptions, OutputOptions, ScoreOptions
from qualiclip_metric.scoring.pipeline import WorkerError, names_of
from qualiclip_metric.scoring.results import Output, open_output
from qualiclip_metric.sources.arguments import Sources
from qualiclip_metric.sources.item import Item

if TYPE_CHECKING:
    from qualiclip_metric.scoring.kept_files import KeptFiles

COUNT_SECONDS = 1.0
"""How long an interrupted command waits for the number of images."""


class LocalRun:
    """A run on this machine."""

    def __init__(
        self,
        sources: Sources,
        output: OutputOptions,
        metric: MetricOptions,
        scoring: ScoreOptions,
        device: str,
        html: Path | None = None,
        kept: "KeptFiles | None" = None,
    ) -> None:
        self.sources, self.output, self.scoring = sources, output, scoring
        self.html, self.kept = html, kept
        self.devices = all_devices(device)
        self.metric = make_metric(metric, self.devices[0])
        assert self.metric.signature is not None
        self.signature = self.metric.signature
        # every device gets what `auto` came to here
        self.options = metric.resolved(self.signature.precision, self.signature.engine)

    def run(self) -> int:
        """Score what has no row yet; the exit code."""
        # warnings about damaged metadata that no viewer minds
        warnings.filterwarnings("ignore", module="PIL")
        opened = False
        try:
            layout = self._layout()
            with _page(self.html, layout) as draw, open_output(self.output, layout) as output:
                if self.html is not None and output.done.total:
                    raise ValueError(
                        f"--html: {output.done.total} rows are there already, whose images are not "
                        "scored again; --overwrite scores all, so that all are on the page"
                    )
                opened = True
                code = self._write(output, draw)
        except (ValueError, WorkerError) as err:
            fail(err, DATA_ERROR if opened else 2)
        except OSError as err:
            fail(f"--out: {error_text(err)}", DATA_ERROR if opened else 2)
        if not self.output.states_signature:
            typer.echo(layout.signature, err=True)
        return code

    def _layout(self) -> Layout:
        _, pairs = names_of(self.metric, self.scoring)
        return layout_for(str(self.signature), self.scoring, pairs, self.sources.columns)

    def _write(self, output: Output, draw: Callable[[Iterable[Row]], Iterator[Row]]) -> int:
        on_stdout = self.output.out is None
        with stopping() as stop, stdout_errors() if on_stdout else nullcontext():
            items, before = output.missing(self.sources.items()), output.done.total
            rows = self._rows(self.kept.remember(items) if self.kept else items, stop)
            counted = CountedRows(rows, self.sources, output, stop, self._shows_bar())
            try:
                note = output.write(draw(self.kept.copy(counted) if self.kept else counted), stop)
            finally:
                rows.close()
        copies = self.kept.note(before) if self.kept else ""
        bar, counts = self.scoring.bar, counted.counts
        code = end_of_run(self.sources, counts, counted.total, bar, stop, copies, note)
        return DATA_ERROR if self.kept and self.kept.failed and not stop() else code

    def _rows(self, items: Iterator[Item], stop: Stop) -> Generator[Row, None, None]:
        if len(self.devices) == 1:
            return scoring.score_items(
                self.metric, items, self.scoring, stopped=stop, device=self.metric.device
            )
        return scoring.score_on_devices(
            self.options.create, self.devices, items, self.scoring, stopped=stop
        )

    def _shows_bar(self) -> bool:
        """Not if rows appear on the terminal as they come."""
        streams = self.output.out is None and not self.output.sort
        return not (streams and self.output.format is not Format.json and sys.stdout.isatty())


def _page(html: Path | None, layout: Layout) -> Any:
    """Context manager of a function that passes rows on, and draws them if there is a page."""
    if html is None:
        return nullcontext(iter)
    from qualiclip_metric.pages.scores import score_page

    return score_page(html, layout.signature)


class Counts(NamedTuple):
    """Counts of a run and the notes at its end.

    Args:
        done: With a row.
        failed: Of these, without a score.
        below: Of these, with a score that does not reach the bar.
    """

    done: int
    failed: int
    below: int


class CountedRows:
    """Passes rows on with a progress bar, and counts them; an interruption ends them.

    The sources are those of all images; a thread counts them while the first are scored.
    """

    def __init__(
        self, rows: Iterator[Row], sources: Sources, output: Output, stop: Stop, show: bool
    ) -> None:
        self.rows, self.sources, self.stop, self.show = rows, sources, stop, show
        self.before = self.done = output.done.total
        self.failed, self.below = output.done.failed, output.done.below
        self.total: int | None = None

    def __iter__(self) -> Iterator[Row]:
        counter = threading.Thread(target=self._count, daemon=True)
        counter.start()
        with progress_bar("scoring", None, done=self.before, show=self.show) as progress:
            try:
                for row in self.rows:
                    self.done += 1
                    self.failed += row.score is None
                    self.below += row.keep is False
                    progress.update(self.done, failed=self.failed, total=self.total)
                    yield row
            except KeyboardInterrupt:  # the second one
                self.stop.code = INTERRUPTED
            except Terminated:
                self.stop.code = TERMINATED
        if self.stop():
            counter.join(COUNT_SECONDS)
        else:
            self.total = self.done

    @property
    def counts(self) -> Counts:
        """Of the rows so far, and those that were there before."""
        return Counts(self.done, self.failed, self.below)

    def _count(self) -> None:
        try:
            self.total = self.sources.count()
        except (OSError, ValueError):  # who lists them reports it
            return


def end_of_run(
    sources: Sources, counts: Counts, total: int | None, bar: str, stop: Stop, *notes: str
) -> int:
    """Print the messages at the end of a run; return its exit code.

    `bar` is what a kept image reaches, as `ScoreOptions.bar`; `notes` are further messages.
    """
    done, failed, below = counts
    of = "" if total is None else f" of {total}"
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
