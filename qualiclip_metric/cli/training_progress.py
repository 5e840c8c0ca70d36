"""Progress of a training run on stderr, and the table of its losses at the end."""

from collections import defaultdict
from contextlib import ExitStack
from statistics import fmean
from typing import TYPE_CHECKING, Any

import typer

from qualiclip_metric.progress import Progress, progress_bar

if TYPE_CHECKING:
    from qualiclip_metric.training.report import Report
    from qualiclip_metric.training.validation import Validation

PHASES = {
    "photos": ("reading photos", "photos"),
    "draws": ("degrading crops", "draws"),
    "trunk": ("fine-tuning the trunk", "steps"),
    "features": ("computing features", "draws"),
    "diagnosis": ("computing versions", "photos"),
    "training": ("training", "steps"),
    "validation": ("validating", "photos"),
}
"""Label and unit of each phase that a report can have."""
ROWS, BAR = 10, 24
"""Rows of the table at the end of a run; characters of its longest bar."""


class TrainingProgress:
    """Shows the reports of a run; a context manager, called with each report."""

    def __init__(self, show: bool = True) -> None:
        self.show = show
        self.phase = ""
        self.stack = ExitStack()
        self.bar = Progress("", None)
        self.rows: dict[int, list[Report]] = defaultdict(list)
        """Reports of training steps, by row of the table."""

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def __call__(self, report: "Report") -> None:
        """Show how far the run is, and every validation."""
        if report.phase == "training":
            self.rows[(report.step - 1) * ROWS // report.total].append(report)
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
            typer.echo(_validated(report, report.validation), err=True)

    def print_table(self) -> None:
        """Print the losses of a ranking run, or the validation of an anchored one."""
        if not self.rows:
            return
        from rich.console import Console

        last = self.rows[max(self.rows)][-1]
        if last.losses:
            Console(stderr=True).print(self._losses(list(last.losses)))
        elif last.validation is not None:
            from qualiclip_metric.cli.validate import validation_table

            Console(stderr=True).print(validation_table(last.validation))

    def _losses(self, names: list[str]) -> Any:
        """Mean losses over the run in `ROWS` rows, with a bar each: its curve."""
        from rich.table import Table

        table = Table("steps", *names, "level pairs in order", "loss")
        means = [{k: fmean(r.losses[k] for r in row) for k in names} for row in self.rows.values()]
        highest = max(mean["total"] for mean in means) or 1.0
        for row, mean in zip(self.rows.values(), means, strict=True):
            validated = [f"{r.validation.mean:.4f}" for r in row if r.validation is not None]
            table.add_row(
                f"{row[0].step} to {row[-1].step}",
                *(f"{mean[name]:.4f}" for name in names),
                validated[-1] if validated else "",
                "#" * round(BAR * mean["total"] / highest),
            )
        return table


def _figures(report: "Report") -> str:
    """Losses and speed, as far as they are known."""
    figures = [f"{'loss' if k == 'total' else k} {v:.4f}" for k, v in report.losses.items()]
    if report.crops_per_second:
        figures.append(f"{report.crops_per_second:.0f} crops/s")
    return ", ".join(figures)


def _validated(report: "Report", found: "Validation") -> str:
    """One line on a validation."""
    losses = f"step {report.step} of {report.total}: {_figures(report)}, " if report.losses else ""
    left_out = f", {found.skipped} photos left out" if found.skipped else ""
    return (
        f"{losses}level pairs in order {found.mean:.4f} (least {min(found.ordered.values()):.3f}), "
        f"consistency gap {found.consistency_gap:.3f}{left_out}"
    )
