"""`python -m benchmarks parity`: the table of differences to the implementations before ours."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.reference import parity
from benchmarks.reference.seeded import write_official, write_plus

GRADIENT_SIZES = ((224, 224), (257, 611))


def app(
    official: Annotated[
        Path | None, typer.Option(help="qualiclip.pth to compare on; a seeded random one if none.")
    ] = None,
    plus: Annotated[Path | None, typer.Option(help="QualiCLIP+_*.pth, likewise.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random checkpoints.")] = 0,
    largest: Annotated[int, typer.Option(help="Leave out sizes of more pixels.")] = 1080 * 1920,
) -> None:
    """Compare scores and gradients with pyiqa's class and the official hub's arithmetic.

    Exits with 1 if a score differs by more than 1e-5. Of a gradient, the largest entry stands in
    the column of the spread, and the difference is relative to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = official or write_official(Path(folder) / "qualiclip.pth", seed)
        learned = plus or write_plus(Path(folder) / "QualiCLIP+_koniq.pth", checkpoint, seed)
        pairs = parity.pairs(checkpoint, learned)
        scores = (
            parity.compare(pair, size, batch)
            for size in parity.SIZES
            for batch in parity.BATCHES
            for pair in pairs
            if size[0] * size[1] <= largest
        )
        typer.echo(f"torch {torch.__version__}, CPU, fp32\n")
        typer.echo("| model | reference | height x width | batch | score spread | max difference |")
        typer.echo("| --- | --- | --- | --- | --- | --- |")
        worst = _print(scores)
        _print(parity.gradients(checkpoint, size, 1) for size in GRADIENT_SIZES)
    raise typer.Exit(int(worst > parity.TOLERANCE))


def _print(rows: Iterable[parity.Difference]) -> float:
    worst = 0.0
    for row in rows:
        size = f"{row.size[0]} x {row.size[1]}"
        typer.echo(
            f"| {row.model} | {row.reference} | {size} | {row.batch} "
            f"| {row.spread:.2g} | {row.difference:.1e} |"
        )
        worst = max(worst, row.difference)
    return worst
