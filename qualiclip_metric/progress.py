"""Progress on stderr: rich's bar on a terminal, else a line every 30 seconds.

tqdm prints no lines for a log, and messages on stderr would break its bar.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

LINE_SECONDS = 30.0
"""Time between two lines if stderr is not a terminal; a shorter job prints none."""


@dataclass
class Progress:
    """How far a job is; `progress_bar` makes it and shows it.

    `done` includes failures and what an earlier run did; `total` is None if unknown; `show` is
    called after each update; `note` is a few words at the end, such as a loss.
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
        """Set the values that are known; None leaves a value as it is."""
        self.done = done
        self.failed = self.failed if failed is None else failed
        self.total = self.total if total is None else total
        self.note = self.note if note is None else note
        self.show(self)

    def __str__(self) -> str:
        parts = [f"{self.done:,}" + ("" if self.total is None else f" of {self.total:,}")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        seconds = time.monotonic() - self._start
        if rate := (self.done - self._first) / seconds if seconds > 0 else 0.0:
            parts.append(f"{rate:.1f} {self.unit}/s")
            if self.total is not None:
                left = timedelta(seconds=round(max(0, self.total - self.done) / rate))
                parts.append(f"{left} left")
        return ", ".join([*parts, self.note] if self.note else parts)


@contextmanager
def progress_bar(
    label: str, total: int | None, *, unit: str = "images", done: int = 0, show: bool = True
) -> Iterator[Progress]:
    """Show how far a job is: done, failed, how many per second, time left.

    `show=False` draws no bar on a terminal, because results appear there; lines in a log are
    printed all the same. What others print on stderr meanwhile goes above the bar.
    """
    progress = Progress(label, total, unit, done)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if terminal and show:
        with _bar(progress) as progress.show:
            yield progress
        return
    if sys.stderr is not None and not terminal:
        progress.show = _line_printer()
    yield progress


def _line_printer() -> Callable[[Progress], None]:
    """Prints a line on stderr if the last one is `LINE_SECONDS` old."""
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            print(f"{progress.label}: {progress}", file=sys.stderr, flush=True)

    return show


@contextmanager
def _bar(progress: Progress) -> Iterator[Callable[[Progress], None]]:
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
