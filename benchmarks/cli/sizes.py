"""`python -m benchmarks sizes`: the score of large photos, whole and reduced."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.analysis.sizes import FILTERS, SIDES, PhotoSizes, score_at_sizes, score_changes
from benchmarks.cli import message
from benchmarks.cli._options import JsonOut, Model
from benchmarks.formatting import markdown, number, write_json
from qualiclip_metric import create
from qualiclip_metric.images import read, size
from qualiclip_metric.sources.folders import find

__all__ = ["sizes", "sizes_table"]


def sizes(
    *,
    images: Annotated[
        list[Path],
        typer.Option("--images", help="Folder, file or pattern of camera photos; repeatable."),
    ],
    model: Model = "lite",
    least: Annotated[
        float, typer.Option("--least", min=0, help="Megapixels below which a photo is left out.")
    ] = 4.0,
    side: Annotated[
        list[int] | None,
        typer.Option("--side", min=32, help="Shorter side to reduce to, px; repeatable."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--filter", help=f"What photos are reduced with: {', '.join(FILTERS)}.")
    ] = "lanczos",
    out: JsonOut = None,
) -> None:
    """Score large photos as they are, and reduced to shorter sides: one quality, one score?

    Below the table: how far scores move from each side to all pixels, in the mean and at most.
    """
    if kind not in FILTERS:
        raise ValueError(f"--filter: expected one of {', '.join(FILTERS)}, got {kind!r}")
    sides = tuple(dict.fromkeys(side or SIDES))
    metric = create(model)
    found = []
    for path in find(images):
        height, width = size(path)
        if width * height >= least * 1e6:
            found.append(score_at_sizes(metric, path.stem, read(path, colour="raw"), sides, kind))
            message(f"{path.name}: {found[-1].whole:.3f}")
    if not found:
        raise ValueError(f"--images: no photo has {least:g} megapixels; try --least")
    signature = str(metric.signature)
    if out is not None:
        rows = [asdict(one) for one in found]
        write_json(out, {"format": 1, "signature": signature, "filter": kind, "photos": rows})
        message(str(out))
    typer.echo(f"{len(found)} photos, {kind}. `{signature}`\n")
    typer.echo(sizes_table(found, sides), nl=False)


def sizes_table(found: list[PhotoSizes], sides: tuple[int, ...]) -> str:
    """Write the scores in Markdown, and how far they move."""
    lines = [
        [
            one.name,
            f"{one.megapixels:.1f}",
            number(one.whole),
            *(number(one.scores.get(side)) for side in sides),
        ]
        for one in found
    ]
    scores = markdown(["photo", "megapixels", "as it is", *(f"{side} px" for side in sides)], lines)
    changes = []
    for side in sides:
        if far := score_changes(found, side):
            changes.append(
                [f"{side} px", str(len(far)), number(sum(far) / len(far)), number(max(far))]
            )
    head = ["from all pixels to", "photos", "mean change of score", "largest"]
    return f"{scores}\n{markdown(head, changes)}"
