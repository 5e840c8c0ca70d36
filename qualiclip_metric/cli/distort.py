"""`qualiclip distort`: degrade an image, or draw a sheet of all distortions of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli.options import (
    Colour,
    ColourOption,
    MaxPixelsOption,
    SeedOption,
    TruncatedOption,
    out_option,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, fail
from qualiclip_metric.limits import MAX_PIXELS
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from torch import Tensor

    from qualiclip_metric.distortions import Chain

EACH = "links"
"""Value of `--chain` for every link alone."""


def distort(
    image: Annotated[Path, typer.Argument(metavar="IMG", help="The image to degrade.")],
    *,
    out: Annotated[Path, out_option("File to write; .png keeps the result exact.")],
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", "-t", help="Type of distortion, such as jpeg; up to 3, applied in this order."
        ),
    ] = None,
    chain: Annotated[
        list[str] | None,
        typer.Option(
            "--chain",
            help="Links as cameras and networks make them, such as hand_shake:0.5,low_light "
            "(name:share, in physical order); with --sheet several, or 'links' for each alone.",
        ),
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", "-l", min=1, max=5, help="1 (mildest) to 5.")
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Draw all types, or the chains, at all 5 levels.")
    ] = False,
    seed: SeedOption = 0,
    max_pixels: MaxPixelsOption = MAX_PIXELS,
    allow_truncated: TruncatedOption = False,
    colour: ColourOption = Colour.srgb,
) -> None:
    """Degrade an image with the distortions of the training: types and chains, 5 levels.

    Give --type or --chain with --level, or --sheet.
    """
    _check_usage(types, chain, level, sheet, out)
    from PIL import Image

    from qualiclip_metric import distortions, images
    from qualiclip_metric.distortions.sheet import contact_sheet
    from qualiclip_metric.files import atomic_write

    try:
        names = [distortion.name for distortion in distortions.resolve(types)] if types else []
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--type") from err
    try:
        chains = [distortions.parse_chain(text) for text in chain or () if text != EACH]
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--chain") from err
    try:
        img = images.read(
            image,
            max_pixels=max_pixels,
            allow_truncated=allow_truncated,
            colour=colour.value,
        )
        if sheet:
            with progress_bar("degrading", None, unit="rows") as bar:
                shown = chains if chain else None
                picture = contact_sheet(img, shown, seed, progress=bar.update)
        else:
            picture = images.to_picture(_degrade(img, names, chains, level or 1, seed))
        with atomic_write(out) as scratch:
            picture.save(scratch, Image.registered_extensions()[out.suffix.lower()])
    except (ValueError, OSError) as err:
        fail(err, DATA_ERROR)
    typer.echo(f"wrote {out}", err=True)


def _degrade(
    img: "Tensor", names: list[str], chains: list["Chain"], level: int, seed: int
) -> "Tensor":
    """Degrade an image, (3, H, W), by one chain, or by types one after the other."""
    import torch

    from qualiclip_metric.distortions import chain_ladder, distort

    rng = torch.Generator().manual_seed(seed)
    if chains:
        return chain_ladder(img[None], chains[0], rng)[level - 1, 0]
    for name in names:
        img = distort(img[None], name, level, rng)[0]
    return img


def _check_usage(
    types: list[str] | None, chain: list[str] | None, level: int | None, sheet: bool, out: Path
) -> None:
    from PIL import Image

    if sheet and (types or level is not None):
        raise typer.BadParameter("--sheet shows every type and level: drop --type and --level")
    if types and chain:
        raise typer.BadParameter("give --type or --chain, not both")
    if not sheet and not types and not chain:
        raise typer.BadParameter("give --type or --chain with --level, or --sheet")
    if chain and not sheet and (len(chain) > 1 or chain == [EACH]):
        raise typer.BadParameter("one --chain with --level; several, or 'links', with --sheet")
    if (types or chain) and not sheet and level is None:
        name = "--type" if types else "--chain"
        raise typer.BadParameter(f"{name} needs a --level of 1 to 5", param_hint="--level")
    writable = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.SAVE
    }
    if out.suffix.lower() not in writable:
        raise typer.BadParameter(
            f"cannot write {out.suffix or 'a file without suffix'}: use .png", param_hint="--out"
        )
