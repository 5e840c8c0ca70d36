"""`qualiclip distort`: degrade one image, or show what every distortion does to it.

Knows the command line and files; the distortions are in `qualiclip_metric.distortions`.
"""

from pathlib import Path
from typing import Annotated

import typer


def distort(
    image: Annotated[Path, typer.Argument(metavar="IMG", help="The image to degrade.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; .png keeps the result exact.")
    ],
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", "-t", help="Type of distortion, such as jpeg; up to 3, applied in this order."
        ),
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", "-l", min=1, max=5, help="1 (mildest) to 5.")
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Draw all 24 types at all 5 levels on one page.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of angles, places and noise.")] = 0,
) -> None:
    """Degrade an image with the distortions of the training: 24 types, 5 levels.

    Give --type with --level, or --sheet.
    """
    _check_usage(types, level, sheet, out)
    import torch

    from qualiclip_metric import distortions, images
    from qualiclip_metric.distortions.sheet import contact_sheet
    from qualiclip_metric.images import to_picture

    try:
        chosen = [distortion.name for distortion in distortions.resolve(types)] if types else []
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--type") from err
    try:
        img = images.read(image)
        if sheet:
            picture = contact_sheet(img, seed)
        else:
            rng = torch.Generator().manual_seed(seed)
            worse = img[None]
            for name in chosen:
                worse = distortions.distort(worse, name, level or 1, rng)
            picture = to_picture(worse[0])
        picture.save(out)
    except (ValueError, OSError) as err:
        typer.echo(f"error: {err}", err=True)
        raise typer.Exit(1) from err
    typer.echo(f"wrote {out}", err=True)


def _check_usage(types: list[str] | None, level: int | None, sheet: bool, out: Path) -> None:
    from PIL import Image

    if sheet and (types or level is not None):
        raise typer.BadParameter("--sheet shows every type and level: drop --type and --level")
    if not sheet and not types:
        raise typer.BadParameter("give --type with --level, or --sheet")
    if types and level is None:
        raise typer.BadParameter("--type needs a --level of 1 to 5", param_hint="--level")
    writable = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.SAVE
    }
    if out.suffix.lower() not in writable:
        raise typer.BadParameter(
            f"cannot write {out.suffix or 'a file without suffix'}: use .png", param_hint="--out"
        )
