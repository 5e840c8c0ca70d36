"""`qualiclip train`: fine-tuning by ranking; no human score unless --labels are given."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli.options import out_option
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail
from qualiclip_metric.cli.training_progress import TrainingProgress

if TYPE_CHECKING:
    from qualiclip_metric.training.plus import PlusReport


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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's state.")
    ] = False,
) -> None:
    """Fine-tune an image encoder on degraded crops of pristine photos.

    By ranking the levels, or with `objective = "anchored"` in the config, which makes `lite`, by
    full-reference quality. No human score takes part.

    The run's folder gets model.safetensors (of ranking, the best by validation; ready for
    `qualiclip score --model`), validation.jsonl and digests.json (so that photos are hashed once);
    ranking adds state.pt (for --resume) and a tensorboard log, the anchored objective the table of
    features, with which it goes on by itself.

    With --labels in place of --images, QualiCLIP+: the prompts' contexts are fitted to a MOS. That
    is opinion-aware, and the only training here that is.
    """
    if images and labels is not None:
        raise typer.BadParameter("give --images or --labels, not both")
    if not images and labels is None:
        raise typer.BadParameter("give pristine photos with --images, or a csv with --labels")
    from qualiclip_metric.checkpoints import WeightsError

    try:
        if labels is not None:
            model = _train_plus(labels, out, config, settings or [], pretrained, resume)
        else:
            model = _train(images or [], out, config, settings or [], pretrained, resume)
    except (ValueError, OSError, FloatingPointError, ImportError, WeightsError) as err:
        fail(err, DATA_ERROR)
    except KeyboardInterrupt:
        fail("interrupted; the same command with --resume goes on", INTERRUPTED)
    if _is_main_process():
        typer.echo(str(model))


def _train(
    images: list[str],
    out: Path,
    config: Path | None,
    settings: list[str],
    pretrained: str | None,
    resume: bool,
) -> Path:
    from qualiclip_metric.training import (
        AnchoredConfig,
        TrainConfig,
        find_photos,
        train_anchored,
    )
    from qualiclip_metric.training import train as train_ranking
    from qualiclip_metric.training.config import read_settings

    try:
        given = read_settings(config, settings)
        chosen: AnchoredConfig | TrainConfig = (
            AnchoredConfig.from_dict(given)
            if "objective" in given
            else TrainConfig.from_dict(given)
        )
        photos = find_photos(images)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    if isinstance(chosen, AnchoredConfig):
        work = f"{chosen.draws} draws"
    else:
        work = f"{chosen.steps} steps, {chosen.model}"
    if _is_main_process():
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        several = f", {processes} processes" if processes > 1 else ""
        typer.echo(f"{len(photos)} photos, {work}{several}", err=True)
    with TrainingProgress(show=_is_main_process()) as report:
        if isinstance(chosen, AnchoredConfig):
            return train_anchored(chosen, photos, out, pretrained=pretrained, report=report)
        return train_ranking(
            chosen, photos, out, pretrained=pretrained, resume=resume, report=report
        )


def _train_plus(
    labels: Path,
    out: Path,
    config: Path | None,
    settings: list[str],
    pretrained: str | None,
    resume: bool,
) -> Path:
    from qualiclip_metric.training import PlusConfig, train_plus
    from qualiclip_metric.training.plus import read_labels

    try:
        chosen = PlusConfig.read(config, settings)
        rows = read_labels(labels)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err

    def report(epoch: "PlusReport") -> None:
        typer.echo(f"epoch {epoch.epoch} of {epoch.epochs}: loss {epoch.loss:.4f}", err=True)

    start = pretrained or "qualiclip"
    return train_plus(chosen, rows, out, pretrained=start, resume=resume, report=report)


def _is_main_process() -> bool:
    """Whether this is the process that speaks, of those that a launcher may have started."""
    return os.environ.get("RANK", "0") == "0"
