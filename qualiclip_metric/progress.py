"""Progress on stderr: a bar on a terminal, a line every 30 seconds where stderr is none."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

LINE_SECONDS = 30.0
"""Time between two lines where stderr is no terminal; a shorter job prints none."""


@dataclass
class Progress:
    """How far a job is; `progress_bar` makes it and shows it.

    Args:
        label: What is being done.
        total: How many there are to do; None where that is not known.
        unit: What is counted, in the plural.
        done: How many are done already, as when a job is resumed.
    """

    label: str
    total: int | None
    unit: str = "images"
    done: int = 0
    failed: int = 0
    note: str = ""
    show: "Callable[[Progress], None]" = field(default=lambda _progress: None, repr=False)

    def __post_init__(self) -> None:
        self._first, self._start = self.done, time.monotonic()

    def update(
        self,
        done: int,
        *,
        failed: int | None = None,
        total: int | None = None,
        note: str | None = None,
    ) -> None:
        """Say how far the job is now.

        Args:
            done: How many are done, failed ones counted.
            failed: How many of these failed; unchanged unless told.
            total: How many there are, where it was not known before.
            note: A few words shown at the end, such as a loss; unchanged unless told.
        """
        self.done = done
        self.failed = self.failed if failed is None else failed
        self.total = self.total if total is None else total
        self.note = self.note if note is None else note
        self.show(self)

    def advance(self, count: int = 1, *, failed: int = 0) -> None:
        """Say that some more are done.

        Args:
            count: How many more, failed ones counted.
            failed: How many of these failed.
        """
        self.update(self.done + count, failed=self.failed + failed)

    @property
    def rate(self) -> float:
        """How many were done per second, by this process; 0 before the first."""
        seconds = time.monotonic() - self._start
        return (self.done - self._first) / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest takes at this rate; None where it cannot be told."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        parts = [f"{self.done:,}" + ("" if self.total is None else f" of {self.total:,}")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.rate:
            parts.append(f"{self.rate:.1f} {self.unit}/s")
        if self.seconds_left is not None:
            parts.append(f"{timedelta(seconds=round(self.seconds_left))} left")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


@contextmanager
def progress_bar(
    label: str, total: int | None, *, unit: str = "images", done: int = 0, show: bool = True
) -> Iterator[Progress]:
    """Show how far a job is: done, failed, how many per second, time left.

    Args:
        label: What is being done.
        total: How many there are to do; None where that is not known yet.
        unit: What is counted, in the plural.
        done: How many are done already, as when a job is resumed.
        show: False for no bar on a terminal, say where results appear on it themselves. Lines
            where stderr is no terminal are printed all the same.

    Yields:
        What to call with the progress. What others print on stderr meanwhile goes above the bar.
    """
    progress = Progress(label, total, unit, done)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if sys.stderr is None or (terminal and not show):
        yield progress
    elif not terminal:
        progress.show = _Lines()
        yield progress
    else:
        with _bar(progress) as progress.show:
            yield progress


class _Lines:
    """Prints a line on stderr when the last one is `LINE_SECONDS` old."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.last >= LINE_SECONDS:
            self.last = now
            print(f"{progress.label}: {progress}", file=sys.stderr, flush=True)


@contextmanager
def _bar(progress: Progress) -> Iterator[Callable[[Progress], None]]:
    """A bar on the terminal at stderr, gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[state]}", markup=False),
    )
    console = Console(stderr=True)
    with Bars(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task(progress.label, total=progress.total, state=str(progress))
        yield lambda now: bars.update(task, total=now.total, completed=now.done, state=str(now))
