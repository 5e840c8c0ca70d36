"""`qualiclip train`: on pristine photos without human scores, or QualiCLIP+ with --labels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qualiclip_metric.cli.options import out_option
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail
from qualiclip_metric.cli.training_progress import TrainingProgress

if TYPE_CHECKING:
    from qualiclip_metric.training.report import Notify


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
    progress = TrainingProgress(show=_is_main_process())
    try:
        given = _settings(config, settings or [], out, resume)
        with progress:
            if labels is not None:
                model = _train_plus(given, labels, out, pretrained, resume, progress)
            else:
                model = _train(given, images or [], out, pretrained, diagnosis_of, resume, progress)
    except (ValueError, OSError, FloatingPointError, ImportError, WeightsError) as err:
        fail(err, DATA_ERROR)
    except KeyboardInterrupt:
        fail(_how_to_continue(out, resume or _state_time(out) != before), INTERRUPTED)
    progress.print_table()
    if _is_main_process():
        typer.echo(str(model))


def _train(
    given: dict[str, Any],
    images: list[str],
    out: Path,
    pretrained: str | None,
    diagnosis_of: str | None,
    resume: bool,
    report: "Notify",
) -> Path:
    from qualiclip_metric import training

    with _usage_errors():
        photos = training.find_photos(images)
    if diagnosis_of is None and "objective" not in given:
        with _usage_errors():
            ranking = training.TrainConfig.from_dict(given)
        _announce(f"{len(photos)} photos, {ranking.steps} steps, {ranking.model}")
        return training.train(
            ranking, photos, out, pretrained=pretrained, resume=resume, report=report
        )
    with _usage_errors():
        anchored = training.AnchoredConfig.from_dict(given)
    if diagnosis_of is not None:
        fitted = anchored.fault_photos
        _announce(f"{len(photos)} photos, {fitted} of them to fit the diagnosis to")
        return training.train_diagnosis(anchored, photos, out, diagnosis_of, report)
    _announce(f"{len(photos)} photos, {anchored.all_draws} draws")
    return training.train_anchored(anchored, photos, out, pretrained=pretrained, report=report)


def _train_plus(
    given: dict[str, Any],
    labels: Path,
    out: Path,
    pretrained: str | None,
    resume: bool,
    report: "Notify",
) -> Path:
    from qualiclip_metric.training import PlusConfig, train_plus
    from qualiclip_metric.training.plus import read_labels

    with _usage_errors():
        config, rows = PlusConfig.from_dict(given), read_labels(labels)
    _announce(f"{len(rows)} images, {config.epochs} epochs")
    return train_plus(
        config, rows, out, pretrained=pretrained or "qualiclip", resume=resume, report=report
    )


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn a ValueError about the command's arguments into a usage error."""
    try:
        yield
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err


def _announce(work: str) -> None:
    """Print the size of the training and the number of processes."""
    if _is_main_process():
        several = f", {_processes()} processes" if _processes() > 1 else ""
        typer.echo(f"{work}{several}", err=True)


def _settings(config: Path | None, overrides: list[str], out: Path, resume: bool) -> dict[str, Any]:
    """Settings as given; of a resumed run the stored ones, which --set overrides."""
    from qualiclip_metric.training.config import read_settings
    from qualiclip_metric.training.run import stored_settings

    with _usage_errors():
        given = read_settings(config, overrides)
    if not resume or "objective" in given:
        return given
    stored, chosen = stored_settings(out, _processes()), read_settings(None, overrides)
    other = [k for k, v in given.items() if k not in chosen and stored.get(k, v) != v]
    if other and _is_main_process():
        typer.echo(f"--resume: stored {', '.join(other)} used, not those of {config}", err=True)
    return stored | chosen


def _state_time(out: Path) -> int | None:
    """When the run's state was written; None without one."""
    from qualiclip_metric.training.run_folder import STATE

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
