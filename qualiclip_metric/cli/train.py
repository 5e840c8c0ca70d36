"""`qualiclip train` and `qualiclip validate`: fine-tuning by ranking, and how well it ranks."""

import json
from pathlib import Path
from typing import Annotated

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
from rich.table import Table

Images = Annotated[
    list[Path],
    typer.Option("--images", help="Folder, file or pattern of pristine photos; may be repeated."),
]


def train(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file of training settings.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value that overrides the file; may be repeated."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", help="Folder, file or pattern of pristine photos; repeatable."),
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
    """Fine-tune an image encoder by ranking degraded crops of pristine photos.

    No human score takes part. The run's folder gets model.safetensors (the best by validation,
    ready for `qualiclip score --model`), state.pt (for --resume), validation.jsonl and a
    tensorboard log.

    With --labels in place of --images, QualiCLIP+: the prompts' contexts are fitted to a MOS. That
    is opinion-aware, and the only training here that is.
    """
    if labels is not None:
        if images:
            raise typer.BadParameter("give --images or --labels, not both")
        _train_plus(labels, out, config, settings or [], pretrained, resume)
        return
    if not images:
        raise typer.BadParameter("give pristine photos with --images, or a csv with --labels")
    from qualiclip_metric.images import find
    from qualiclip_metric.training import TrainConfig
    from qualiclip_metric.training import train as run
    from qualiclip_metric.training.loop import Report

    console = Console(stderr=True)
    try:
        chosen = TrainConfig.read(config, settings or [])
        photos = find(images)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    console.print(f"{len(photos)} photos, {chosen.steps} steps, {chosen.model}", highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:.0f} crops/s"),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show(report: Report) -> None:
            if report.phase not in tasks:
                tasks[report.phase] = bar.add_task(report.phase, loss=float("nan"), rate=0.0)
            bar.update(
                tasks[report.phase],
                total=report.total,
                completed=report.step,
                loss=report.losses.get("total", float("nan")),
                rate=report.crops_per_second,
            )
            if report.validation is not None:
                bar.console.print(
                    f"step {report.step}: loss {report.losses['total']:.4f}, "
                    f"{report.crops_per_second:.0f} crops/s, level pairs in order "
                    f"{report.validation.mean:.4f} "
                    f"(least {min(report.validation.ordered.values()):.3f}), "
                    f"consistency gap {report.validation.consistency_gap:.3f}",
                    highlight=False,
                    soft_wrap=True,
                )

        try:
            model = run(chosen, photos, out, pretrained=pretrained, resume=resume, report=show)
        except (ValueError, FileNotFoundError, FloatingPointError, ImportError) as err:
            console.print(f"error: {err}", markup=False, highlight=False)
            raise typer.Exit(1) from err
    typer.echo(str(model))


def _train_plus(
    labels: Path,
    out: Path,
    config: Path | None,
    settings: list[str],
    pretrained: str | None,
    resume: bool,
) -> None:
    from qualiclip_metric.training import PlusConfig, train_plus
    from qualiclip_metric.training.plus import PlusReport, read_labels

    console = Console(stderr=True)
    try:
        chosen = PlusConfig.read(config, settings)
        rows = read_labels(labels)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err

    def show(report: PlusReport) -> None:
        console.print(
            f"epoch {report.epoch} of {report.epochs}: loss {report.loss:.4f}", highlight=False
        )

    try:
        model = train_plus(
            chosen, rows, out, pretrained=pretrained or "qualiclip", resume=resume, report=show
        )
    except (ValueError, FileNotFoundError, FloatingPointError, RuntimeError) as err:
        console.print(f"error: {err}", markup=False, highlight=False)
        raise typer.Exit(1) from err
    typer.echo(str(model))


def validate(
    images: Images,
    model: Annotated[str, typer.Option("--model", help="Registered name or checkpoint.")] = "lite",
    crop_size: Annotated[
        int | None,
        typer.Option("--crop-size", help="Score two overlapping crops of this side instead."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Distortion type; may be repeated; all 24 unless told."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of crops and distortions.")] = 0,
    anchor: Annotated[
        str, typer.Option("--anchor", help="Also the SRCC with a full-reference score: mdsi.")
    ] = "none",
    device: Annotated[str | None, typer.Option("--device", help="Where to compute.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Share of correctly ordered level pairs per distortion type, on pristine photos.

    Every photo is degraded by 24 types at 5 levels; of each of the 10 pairs of levels the milder
    one should score strictly higher.
    """
    from qualiclip_metric import create
    from qualiclip_metric.distortions import DISTORTIONS, resolve
    from qualiclip_metric.images import find
    from qualiclip_metric.training import validate as run

    console = Console(stderr=True)
    try:
        photos = find(images)
        metric = create(model, device=device)
        chosen = [resolve(name)[0].name for name in types or DISTORTIONS]
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("photos", total=len(photos))
        result = run(
            metric,
            photos,
            crop_size=crop_size,
            seed=seed,
            types=chosen,
            anchor=anchor,
            progress=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        typer.echo(json.dumps({"signature": str(metric.signature), **result.to_dict()}, indent=2))
        return
    table = Table("distortion", "level pairs in order", "below pristine")
    for name, share in result.ordered.items():
        table.add_row(name, f"{share:.3f}", f"{result.below_pristine[name]:.3f}")
    below = sum(result.below_pristine.values()) / len(result.below_pristine)
    table.add_row("mean", f"{result.mean:.4f}", f"{below:.4f}", style="bold")
    Console().print(table)
    console.print(f"{result.photos} photos, {metric.signature}", markup=False, highlight=False)
