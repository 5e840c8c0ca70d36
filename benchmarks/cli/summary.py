"""`python -m benchmarks summary`: the figures of a results folder, written and printed."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli._options import OptionalResamples, Results, Seed
from benchmarks.results.summary import Statistics, write_summary


def summary(
    results: Results = Path("results"),
    resamples: OptionalResamples = 10_000,
    seed: Seed = 0,
    splits: Annotated[int, typer.Option(min=0, help="Random splits by reference.")] = 10,
    split_seed: Annotated[int, typer.Option(help="Seed of the random splits.")] = 27,
) -> None:
    """Write summary.csv, .json, .md and print the latter."""
    typer.echo(write_summary(results, Statistics(resamples, seed, splits, split_seed)))
