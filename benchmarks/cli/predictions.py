"""`python -m benchmarks predictions`: agreement of published predictions, with no image."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli._options import OptionalResamples, Seed
from benchmarks.datasets import avt
from benchmarks.formatting import markdown, number, with_interval
from benchmarks.stats.agreement import agreements


def predictions(
    folder: Annotated[Path, typer.Argument(help=f"Folder of {avt.SCORES} and {avt.OPINIONS}.")],
    resamples: OptionalResamples = 10_000,
    seed: Seed = 0,
    common: Annotated[bool, typer.Option(help="Only the images that every metric scored.")] = False,
) -> None:
    """Join scores and opinions and print each metric's figures."""
    figures = agreements(avt.load(folder), common=common, resamples=resamples, seed=seed)
    header = ["metric", "n", "SRCC [95%]", "KRCC", "PLCC", "PLCC4", "PLCC5", "RMSE"]
    rows, remarks = [], []
    for r in figures.to_dict("records"):
        srcc = with_interval(r["srcc"], r["srcc_low"], r["srcc_high"])
        rest = [number(r[name]) for name in ("krcc", "plcc", "plcc4", "plcc5", "rmse")]
        rows.append([r["metric"], str(r["n"]), srcc, *rest])
        for name in ("plcc4", "plcc5"):
            if r[f"{name}_status"] != "ok":
                remarks.append(f"- {r['metric']}: {name.upper()} fit {r[f'{name}_status']}")
    typer.echo(markdown(header, rows))
    typer.echo("\n".join(remarks))
