"""`python -m benchmarks parity`: the table of differences to the implementations before ours."""

import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.cli._options import Seed
from benchmarks.formatting import markdown
from benchmarks.reference.parity import (
    BATCHES,
    SIZES,
    TOLERANCE,
    Difference,
    compare_gradients,
    compare_scores,
    metric_pairs,
)
from benchmarks.reference.seeded import write_official, write_plus

GRADIENT_SIZES = ((224, 224), (257, 611))


def parity(
    official: Annotated[
        Path | None, typer.Option(help="qualiclip.pth to compare on; a seeded random one if none.")
    ] = None,
    plus: Annotated[Path | None, typer.Option(help="QualiCLIP+_*.pth, likewise.")] = None,
    seed: Seed = 0,
    largest: Annotated[int, typer.Option(help="Leave out sizes of more pixels.")] = 1080 * 1920,
) -> None:
    """Compare scores and gradients with pyiqa's class and the official hub's arithmetic.

    Exits with 1 if a score differs by more than 1e-5. Of a gradient, the largest entry stands in
    the column of the spread, and the difference is relative to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = official or write_official(Path(folder) / "qualiclip.pth", seed)
        learned = plus or write_plus(Path(folder) / "QualiCLIP+_koniq.pth", checkpoint, seed)
        pairs = metric_pairs(checkpoint, learned)
        scores = [
            compare_scores(pair, size, batch)
            for size in SIZES
            for batch in BATCHES
            for pair in pairs
            if size[0] * size[1] <= largest
        ]
        gradients = [compare_gradients(checkpoint, size, 1) for size in GRADIENT_SIZES]
    header = ["model", "reference", "height x width", "batch", "score spread", "max difference"]
    typer.echo(f"torch {torch.__version__}, CPU, fp32\n")
    typer.echo(markdown(header, [_cells(row) for row in (*scores, *gradients)], 4), nl=False)
    worst = max((row.difference for row in scores), default=0.0)
    raise typer.Exit(int(worst > TOLERANCE))


def _cells(row: Difference) -> list[str]:
    size = f"{row.size[0]} x {row.size[1]}"
    spread, difference = f"{row.spread:.2g}", f"{row.difference:.1e}"
    return [row.model, row.reference, size, str(row.batch), spread, difference]
