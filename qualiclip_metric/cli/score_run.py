"""A run of `qualiclip score`: rows with a progress bar, an end that is announced, an exit code."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from qualiclip_metric import scoring
from qualiclip_metric.cli.score_output import Output
from qualiclip_metric.cli.stopping import Stop, stopping
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, TERMINATED, Terminated
from qualiclip_metric.progress import progress_bar
from qualiclip_metric.streaming.items import Item
from qualiclip_metric.streaming.rows import Row
from qualiclip_metric.streaming.sources import Sources

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.scoring.devices import MakeMetric

_COUNT_SECONDS = 1.0
"""How long an interrupted command waits to know how many images there are."""


def score_all(
    metric: "QualiCLIP",
    devices: Sequence[str],
    make: "MakeMetric",
    options: scoring.Options,
    items: Iterable[Item],
    stop: Stop,
) -> Generator[Row, None, None]:
    """Score here, or in a process for each of several devices.

    Args:
        metric: The metric, on the first device.
        devices: Where to compute.
        make: What makes the same metric in another process.
        options: How images are scored.
        items: Images.
        stop: Asked after each batch.

    Returns:
        Rows in the order of the images.
    """
    if len(devices) == 1:
        return scoring.score_items(metric, items, options, stopped=stop, device=metric.device)
    return scoring.score_on_devices(make, devices, items, options, stopped=stop)


def run(
    score_missing: Callable[[Iterable[Item], Stop], Generator[Row, None, None]],
    sources: Sources,
    output: Output,
    show: bool,
    drawn: Callable[[Iterable[Row]], Iterator[Row]],
) -> int:
    """Score what is missing, say what came of it.

    Args:
        score_missing: Images, and what to ask whether to stop -> their rows.
        sources: Where the images are.
        output: Where the rows go.
        show: Whether there is a bar on a terminal.
        drawn: Draws rows on their way to the output.

    Returns:
        The exit code.
    """
    with stopping() as stop:
        rows = score_missing(output.missing(sources.items()), stop)
        tally = _Tally(rows, sources, output, stop, show)
        try:
            note = output.take(drawn(tally), stop)
        finally:
            rows.close()
    for line in (sources.note(), *tally.lines(), note):
        if line:
            typer.echo(line, err=True)
    return stop.code or (DATA_ERROR if tally.failed else 0)


class _Tally:
    """Passes rows on with a progress bar, and counts them; an interruption is their end."""

    def __init__(
        self, rows: Iterator[Row], sources: Sources, output: Output, stop: Stop, show: bool
    ) -> None:
        self.rows, self.sources, self.stop, self.show = rows, sources, stop, show
        self.before, self.done, self.failed = output.done, output.done, output.failed
        self.total: int | None = None

    def __iter__(self) -> Iterator[Row]:
        counter = threading.Thread(target=self._count, daemon=True)
        counter.start()
        with progress_bar("scoring", None, done=self.before, show=self.show) as progress:
            try:
                for row in self.rows:
                    self.done += 1
                    self.failed += row.score is None
                    progress.update(self.done, failed=self.failed, total=self.total)
                    yield row
            except KeyboardInterrupt:  # the second one
                self.stop.code = INTERRUPTED
            except Terminated:
                self.stop.code = TERMINATED
        if self.stop():
            counter.join(_COUNT_SECONDS)
        else:
            self.total = self.done

    def lines(self) -> Iterator[str]:
        """What to say at the end, if anything."""
        if self.failed:
            yield f"{self.failed} of {self.done} images could not be scored"
        if self.stop():
            of = "" if self.total is None else f" of {self.total}"
            yield f"interrupted: {self.done}{of} images done"

    def _count(self) -> None:
        """How many images there are, found out while the first are scored."""
        try:
            self.total = self.sources.count()
        except (OSError, ValueError):  # whoever lists them will say so
            return
