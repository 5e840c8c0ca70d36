"""`qualiclip validate`: how well a model orders degraded photos."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    DeviceOption,
    ImagesOption,
    JsonOption,
    ModelOption,
    SeedOption,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, fail
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from rich.table import Table

    from qualiclip_metric.training.validation import Validation


def validate(
    images: ImagesOption,
    model: ModelOption = "lite",
    crop_size: Annotated[
        int | None,
        typer.Option("--crop-size", help="Score two overlapping crops of this side instead."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Distortion type; may be repeated; default: all."),
    ] = None,
    seed: SeedOption = 0,
    across: Annotated[
        bool,
        typer.Option(
            "--across", help="Instead: SRCC across photos with full-reference metrics, on chains."
        ),
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Share of correctly ordered level pairs per distortion type, on pristine photos.

    Every photo is degraded by all types (`qualiclip distort`) at 5 levels; of each of the 10 pairs
    of levels the milder one should score strictly higher. A photo that cannot be read is left out
    with a warning.

    With --across, crops of all photos under random chains: the SRCC of their scores, level by
    level, with the mean rank of MDSI, HaarPSI, VIF and MS-GMSD. Of the figures without human scores
    it predicts the agreement with people best.
    """
    if across and (types or crop_size is not None):
        raise typer.BadParameter("--across has its own crops and chains: drop --type, --crop-size")
    from qualiclip_metric.distortions import DISTORTIONS, resolve
    from qualiclip_metric.training import find_photos
    from qualiclip_metric.training import validate as run
    from qualiclip_metric.training.across import across_contents

    try:
        photos = find_photos(images)
        chosen = [resolve(name)[0].name for name in types or DISTORTIONS]
    except ValueError as err:
        fail(err)
    metric = load_metric(model, device)
    with progress_bar("validating", len(photos), unit="photos") as progress:
        try:
            if across:
                found = across_contents(metric, photos, seed=seed, progress=progress.update)
            else:
                result = run(
                    metric,
                    photos,
                    crop_size=crop_size,
                    seed=seed,
                    types=chosen,
                    progress=progress.update,
                )
        except (ValueError, ImportError) as err:
            fail(err, DATA_ERROR)
    if as_json:
        signature = None if metric.signature is None else metric.signature.as_dict()
        values = dataclasses.asdict(found) if across else result.to_dict()
        typer.echo(json.dumps({"signature": signature, **values}, indent=2))
    elif across:
        levels = ", ".join(f"{value:.3f}" for value in found.by_level)
        typer.echo(f"SRCC across contents {found.srcc:.4f} (levels 1 to 5: {levels})")
        typer.echo(f"{found.crops} crops per level, {metric.signature}", err=True)
    else:
        from rich.console import Console

        Console().print(validation_table(result))
        left_out = f", {result.skipped} left out" if result.skipped else ""
        typer.echo(f"{result.photos} photos{left_out}, {metric.signature}", err=True)


def validation_table(result: "Validation") -> "Table":
    """Figures per distortion type, and their mean."""
    from rich.table import Table

    table = Table("distortion", "level pairs in order", "below pristine")
    for name, share in result.ordered.items():
        table.add_row(name, f"{share:.3f}", f"{result.below_pristine[name]:.3f}")
    below = sum(result.below_pristine.values()) / len(result.below_pristine)
    table.add_row("mean", f"{result.mean:.4f}", f"{below:.4f}", style="bold")
    return table
