"""`python -m benchmarks rejection`: does a bar catch bad images, and lose few good ones?"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import message
from benchmarks.cli._options import DatasetNames, JsonOut, MetricNames, Resamples, Results, Seed
from benchmarks.formatting import markdown, number, with_interval, write_json
from benchmarks.results.folder import dataset_names, load
from benchmarks.stats.rejection import PERCENTILES, Rejection
from benchmarks.stats.rejection import rejection as measure


def rejection(
    *,
    results: Results = Path("results"),
    dataset: DatasetNames = None,
    metric: MetricNames = None,
    percentile: Annotated[
        list[float] | None,
        typer.Option(min=0.1, max=99.9, help="Percent that is rejected; default: 5, 10, 20, 30."),
    ] = None,
    out: JsonOut = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Reject the images that score lowest; compare with the opinions of people.

    A table per data set: of the worst quarter by MOS, the share that is rejected (caught); of the
    better half, the share that is rejected (lost). Scores are those of `python -m benchmarks run`.
    """
    found = []
    for name in dataset or dataset_names(results):
        scores = load(results, name)
        known: list[str] = scores.attrs["metrics"]
        if unknown := sorted({*(metric or [])} - {*known}):
            raise ValueError(
                f"{name}: no metric {', '.join(unknown)}; there are {', '.join(known)}"
            )
        chosen = metric or known
        common = scores.dropna(subset=[*chosen, "mos"])
        if len(common) < len(scores):
            message(f"{name}: {len(scores) - len(common)} images lack a score and are left out")
        label = scores.attrs["datasets"][name]["label"]
        typer.echo(f"## {label}: {len(common)} images\n")
        rows = []
        for percent in percentile or PERCENTILES:
            for column in chosen:
                one = measure(
                    common[column], common["mos"], percent, resamples=resamples, seed=seed
                )
                rows.append(_cells(column, one))
                found.append({"dataset": label, "metric": column, **_as_dict(one)})
        header = ["rejected", "metric", "caught of the worst quarter", "lost of the better half"]
        typer.echo(markdown(header, rows, 2))
        for column in chosen:
            typer.echo(f"- {column}: `{scores.attrs['signatures'][column]}`")
    typer.echo(
        f"\nIntervals: 95 %, {resamples} resamples of the images. Where P % are rejected, at most "
        "4 P % of the worst quarter can be caught; chance catches and loses P %."
    )
    if out is not None:
        write_json(out, {"format": 1, "resamples": resamples, "seed": seed, "rows": found})
        message(str(out))


def _cells(metric: str, one: Rejection) -> list[str]:
    rates = [with_interval(rate.value, rate.bounds.low, rate.bounds.high, 2) for rate in one[1:]]
    return [f"{number(one.percentile, 0)} %", metric, *rates]


def _as_dict(one: Rejection) -> dict[str, float]:
    held = {"percentile": one.percentile}
    for name, rate in (("caught", one.caught), ("lost", one.lost)):
        held |= {name: rate.value, f"{name}_low": rate.bounds.low, f"{name}_high": rate.bounds.high}
    return held
