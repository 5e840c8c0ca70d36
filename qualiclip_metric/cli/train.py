"""`qualiclip train`: on pristine photos without human scores, or QualiCLIP+ with --labels."""

import os
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qualiclip_metric.cli.options import out_option
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail
from qualiclip_metric.cli.training_progress import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from qualiclip_metric.training.loop import Report

ROWS, BAR = 10, 24
"""Rows of the table at the end of a run; characters of its longest bar."""


def train(
    out: Annotated[Path, out_option("Folder of the run.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file of training settings.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value that overrides the file; may be repeated."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", help="Folder, file, pattern or tar shards of photos; repeatable."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="csv (image, mos): fit QualiCLIP+'s prompts to opinions."),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option("--pretrained", help="Checkpoint to start from.")
    ] = None,
    diagnosis_of: Annotated[
        str | None,
        typer.Option("--diagnosis-of", help="Fit only the diagnosis of this anchored model."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the folder's run, with the settings it stored."),
    ] = False,
) -> None:
    """Train a model on degraded crops of pristine photos.

    By ranking the levels, or with `objective = "anchored"` in the config, which made `lite`, by
    full-reference quality. Neither uses human scores.

    The run's folder gets model.safetensors (of ranking, the best by validation; ready for
    `qualiclip score --model`), validation.jsonl and digests.json (so that photos are hashed once).
    Ranking adds state.pt (for --resume) and a TensorBoard log; the anchored objective adds its
    features, which the same command continues with.

    --diagnosis-of copies a model and fits its diagnosis again; no score changes.

    With --labels in place of --images, QualiCLIP+: the prompts' contexts are fitted to a MOS. Only
    this training is opinion-aware.
    """
    if images and labels is not None:
        raise typer.BadParameter("give --images or --labels, not both")
    if diagnosis_of is not None and (labels is not None or pretrained is not None or resume):
        raise typer.BadParameter("--diagnosis-of takes no --labels, --pretrained or --resume")
    if not images and labels is None:
        raise typer.BadParameter("give pristine photos with --images, or a csv with --labels")
    from qualiclip_metric.checkpoints import WeightsError

    before = _state_time(out)
    history = _History()
    try:
        with TrainingProgress(show=_is_main_process()) as show:

            def report(progress: "Report") -> None:
                show(progress)
                history.add(progress)

            given = _settings(config, settings or [], out, resume)
            if labels is not None:
                model = _train_plus(given, labels, out, pretrained, resume, report)
            elif diagnosis_of is not None:
                model = _train_diagnosis(given, images or [], out, diagnosis_of, report)
            else:
                model = _train(given, images or [], out, pretrained, resume, report)
    except (ValueError, OSError, FloatingPointError, ImportError, WeightsError) as err:
        fail(err, DATA_ERROR)
    except KeyboardInterrupt:
        fail(_how_to_continue(out, resume or _state_time(out) != before), INTERRUPTED)
    history.print()
    if _is_main_process():
        typer.echo(str(model))


def _train(
    given: dict[str, Any],
    images: list[str],
    out: Path,
    pretrained: str | None,
    resume: bool,
    report: "Callable[[Report], None]",
) -> Path:
    from qualiclip_metric.training import AnchoredConfig, TrainConfig, find_photos, train_anchored
    from qualiclip_metric.training import train as train_ranking

    try:
        photos = find_photos(images)
        if "objective" in given:
            anchored = AnchoredConfig.from_dict(given)
        else:
            ranking = TrainConfig.from_dict(given)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    if "objective" in given:
        _announce(f"{len(photos)} photos, {anchored.draws} draws")
        return train_anchored(anchored, photos, out, pretrained=pretrained, report=report)
    _announce(f"{len(photos)} photos, {ranking.steps} steps, {ranking.model}")
    return train_ranking(ranking, photos, out, pretrained=pretrained, resume=resume, report=report)


def _train_diagnosis(
    given: dict[str, Any],
    images: list[str],
    out: Path,
    model: str,
    report: "Callable[[Report], None]",
) -> Path:
    from qualiclip_metric.training import AnchoredConfig, find_photos, train_diagnosis

    try:
        config, photos = AnchoredConfig.from_dict(given), find_photos(images)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    _announce(f"{len(photos)} photos, {config.fault_photos} of them to fit the diagnosis to")
    return train_diagnosis(config, photos, out, model, report)


def _train_plus(
    given: dict[str, Any],
    labels: Path,
    out: Path,
    pretrained: str | None,
    resume: bool,
    report: "Callable[[Report], None]",
) -> Path:
    from qualiclip_metric.training import PlusConfig, train_plus
    from qualiclip_metric.training.plus import read_labels

    try:
        config, rows = PlusConfig.from_dict(given), read_labels(labels)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    _announce(f"{len(rows)} images, {config.epochs} epochs")
    return train_plus(
        config, rows, out, pretrained=pretrained or "qualiclip", resume=resume, report=report
    )


def _announce(work: str) -> None:
    """Say what is trained on, and in how many processes."""
    if _is_main_process():
        several = f", {_processes()} processes" if _processes() > 1 else ""
        typer.echo(f"{work}{several}", err=True)


def _settings(config: Path | None, overrides: list[str], out: Path, resume: bool) -> dict[str, Any]:
    """Settings as given; of a resumed run the stored ones, which --set overrides."""
    from qualiclip_metric.training.config import read_settings
    from qualiclip_metric.training.run import stored_settings

    try:
        given = read_settings(config, overrides)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    if not resume or "objective" in given:
        return given
    stored, chosen = stored_settings(out, _processes()), read_settings(None, overrides)
    other = [k for k, v in given.items() if k not in chosen and stored.get(k, v) != v]
    if other and _is_main_process():
        typer.echo(f"--resume: stored {', '.join(other)} used, not those of {config}", err=True)
    return stored | chosen


def _state_time(out: Path) -> int | None:
    """When the run's state was written; None without one."""
    from qualiclip_metric.training.checkpoint import STATE

    state = out / STATE
    return state.stat().st_mtime_ns if state.is_file() else None


def _how_to_continue(out: Path, has_state: bool) -> str:
    if has_state:
        return "interrupted; the same command with --resume continues"
    if (out / "features").is_dir():
        return "interrupted; the same command continues with the features computed so far"
    return "interrupted before the first step; start again with the same command"


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_main_process() -> bool:
    """Whether this is rank 0 of the processes that a launcher may have started."""
    return os.environ.get("RANK", "0") == "0"


class _History:
    """Mean losses over a run in `ROWS` rows, with a bar each: its curve."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Report]] = defaultdict(list)
        self.last: Report | None = None

    def add(self, report: "Report") -> None:
        """Keep the report of a training step."""
        if report.phase == "training":
            self.rows[(report.step - 1) * ROWS // report.total].append(report)
            self.last = report

    def print(self) -> None:
        """Print the table of a ranking run, or the validation of an anchored one, on stderr."""
        if self.last is None:
            return
        from rich.console import Console

        console = Console(stderr=True)
        if not self.last.losses and self.last.validation is not None:
            from qualiclip_metric.cli.validate import validation_table

            console.print(validation_table(self.last.validation))
        elif self.last.losses:
            console.print(self._losses(list(self.last.losses)))

    def _losses(self, names: list[str]) -> Any:
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
