"""`python -m benchmarks compare`: pairwise significance between metrics, as a matrix."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.cli._console import message
from benchmarks.cli._options import DatasetNames, MetricNames, Resamples, Results, Seed
from benchmarks.results.folder import dataset_names, load
from benchmarks.results.tables import significance_markdown
from benchmarks.stats.significance import compare as compare_metrics
from qualiclip_metric.files import write_text


def compare(
    *,
    results: Results = Path("results"),
    dataset: DatasetNames = None,
    metric: MetricNames = None,
    resolution: Annotated[
        str | None, typer.Option(help="Only scores at this resolution, e.g. native.")
    ] = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Paired bootstrap of SRCC differences with Holm's correction; writes compare-DATASET.csv."""
    for name in dataset or dataset_names(results):
        scores = load(results, name, resolution)
        metrics = _with_scores(scores, name, metric)
        pairs = compare_metrics(scores, metrics, resamples=resamples, seed=seed)
        write_text(results / f"compare-{name}.csv", pairs.to_csv(index=False))
        label = scores.attrs["datasets"][name]["label"]
        typer.echo(f"## {label}: SRCC differences on {pairs['n'].iloc[0]} images\n")
        typer.echo(significance_markdown(pairs))
        typer.echo(
            f"Row minus column; * = Holm-corrected p below .05 over {len(pairs)} pairs "
            f"(paired bootstrap, {resamples} resamples).\n"
        )


def _with_scores(scores: pd.DataFrame, name: str, asked: list[str] | None) -> list[str]:
    """The metrics to compare; one that scored no image is left out, with a message."""
    known: list[str] = scores.attrs["metrics"]
    unknown = [metric for metric in asked or [] if metric not in known]
    if unknown:
        raise ValueError(f"{name}: no metric {', '.join(unknown)}; there are {', '.join(known)}")
    metrics = asked or known
    scored = [metric for metric in metrics if scores[metric].notna().any()]
    for metric in metrics:
        if metric not in scored:
            message(f"left out: {metric} scored no image of {name}")
    return scored
