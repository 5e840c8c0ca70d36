"""Progress of a training run on stderr: bars on a terminal, elsewhere a line now and then."""

import time
from math import nan
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from qualiclip_metric.training.loop import Report

LINE_EVERY = 30.0
"""Seconds between two lines where stderr is no terminal."""
PHASES = {
    "photos": "reading photos",
    "features": "computing features",
    "training": "training",
    "validation": "validating",
}


class TrainingProgress:
    """Shows the reports of a run; a context manager, called with each report.

    Args:
        show: False for a process that is to be silent.
    """

    def __init__(self, show: bool = True) -> None:
        self.show = show
        self.console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            disable=not (show and self.console.is_terminal),
            redirect_stdout=False,
        )
        self.tasks: dict[str, TaskID] = {}
        self.last_line = time.monotonic()

    def __enter__(self) -> "TrainingProgress":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def __call__(self, report: "Report") -> None:
        """Show how far the run is.

        Args:
            report: What the loop says.
        """
        if not self.show:
            return
        if report.validation is not None:
            self._line(_validated(report))
        elif self.console.is_terminal:
            self._move_bar(report)
        elif time.monotonic() - self.last_line >= LINE_EVERY:
            figures = _figures(report)
            self._line(
                f"{PHASES[report.phase]}: {report.step} of {report.total}"
                + (f", {figures}" if figures else "")
            )

    def _move_bar(self, report: "Report") -> None:
        if report.phase not in self.tasks:
            self.tasks[report.phase] = self.bars.add_task(PHASES[report.phase], figures="")
        self.bars.update(
            self.tasks[report.phase],
            total=report.total,
            completed=report.step,
            figures=_figures(report),
        )

    def _line(self, text: str) -> None:
        self.last_line = time.monotonic()
        if self.console.is_terminal:
            self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(text, err=True)


def _figures(report: "Report") -> str:
    """Loss and speed, as far as they are known."""
    figures = []
    if report.losses:
        figures.append(f"loss {report.losses.get('total', nan):.4f}")
    if report.crops_per_second:
        figures.append(f"{report.crops_per_second:.0f} crops/s")
    return ", ".join(figures)


def _validated(report: "Report") -> str:
    """One line on a validation."""
    found = report.validation
    if found is None:
        return ""
    left_out = f", {found.skipped} photos left out" if found.skipped else ""
    return (
        f"step {report.step} of {report.total}: {_figures(report)}, level pairs in order "
        f"{found.mean:.4f} (least {min(found.ordered.values()):.3f}), consistency gap "
        f"{found.consistency_gap:.3f}{left_out}"
    )
