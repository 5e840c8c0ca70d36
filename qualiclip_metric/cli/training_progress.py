"""Progress of a training run on stderr, from the reports of its loop."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

from qualiclip_metric.progress import Progress, progress_bar

if TYPE_CHECKING:
    from qualiclip_metric.training.loop import Report

PHASES = {
    "photos": ("reading photos", "photos"),
    "features": ("computing features", "draws"),
    "diagnosis": ("computing versions", "photos"),
    "training": ("training", "steps"),
    "validation": ("validating", "photos"),
}
"""Label and unit of each phase that a report can have."""


class TrainingProgress:
    """Shows the reports of a run; a context manager, called with each report."""

    def __init__(self, show: bool = True) -> None:
        self.show = show
        self.phase = ""
        self.stack = ExitStack()
        self.bar = Progress("", None)

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def __call__(self, report: "Report") -> None:
        """Show how far the run is, and every validation."""
        if not self.show:
            return
        if report.phase != self.phase:
            self.stack.close()
            label, unit = PHASES[report.phase]
            before = max(0, report.step - 1)
            bar = progress_bar(label, report.total, unit=unit, done=before)
            self.phase, self.bar = report.phase, self.stack.enter_context(bar)
        self.bar.update(report.step, note=_figures(report))
        if report.validation is not None:
            typer.echo(_validated(report), err=True)


def _figures(report: "Report") -> str:
    """Losses and speed, as far as they are known."""
    figures = [f"{'loss' if k == 'total' else k} {v:.4f}" for k, v in report.losses.items()]
    if report.crops_per_second:
        figures.append(f"{report.crops_per_second:.0f} crops/s")
    return ", ".join(figures)


def _validated(report: "Report") -> str:
    """One line on a validation."""
    found = report.validation
    if found is None:
        return ""
    losses = f"step {report.step} of {report.total}: {_figures(report)}, " if report.losses else ""
    left_out = f", {found.skipped} photos left out" if found.skipped else ""
    return (
        f"{losses}level pairs in order {found.mean:.4f} (least {min(found.ordered.values()):.3f}), "
        f"consistency gap {found.consistency_gap:.3f}{left_out}"
    )
