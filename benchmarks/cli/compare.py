"""`python -m benchmarks compare`: pairwise significance between metrics, as a matrix."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import message
from benchmarks.cli._options import DatasetNames, MetricNames, Resamples, Results, Seed
from benchmarks.results.folder import dataset_names, load
from benchmarks.results.summary_markdown import significance_markdown
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
    """Paired bootstrap of SRCC differences with Holm's correction; writes compare-DATASET.csv.

    Each pair is compared on the images that both metrics scored.
    """
    names = dataset or dataset_names(results)
    compared = [
        _compare_on(results, name, metric, resolution, resamples=resamples, seed=seed)
        for name in names
    ]
    if not any(compared):
        raise ValueError(f"no two metrics to compare on {', '.join(names)}: see the reasons above")


def _compare_on(
    results: Path,
    name: str,
    metrics: list[str] | None,
    resolution: str | None,
    *,
    resamples: int,
    seed: int,
) -> bool:
    """Compare on one data set; False, with the reasons on stderr, where no pair is left."""
    scores = load(results, name, resolution)
    known: list[str] = scores.attrs["metrics"]
    if unknown := [metric for metric in metrics or [] if metric not in known]:
        raise ValueError(f"{name}: no metric {', '.join(unknown)}; there are {', '.join(known)}")
    found = compare_metrics(scores, metrics or known, resamples=resamples, seed=seed)
    for metric, reason in found.left_out.items():
        message(f"{name}: left out: {metric}: {reason}")
    if found.pairs.empty:
        message(f"{name}: not compared: a comparison needs two metrics")
        return False
    write_text(results / f"compare-{name}.csv", found.pairs.to_csv(index=False))
    label = scores.attrs["datasets"][name]["label"]
    typer.echo(f"## {label}: SRCC differences on {found.pairs['n'].mode().iloc[0]} images\n")
    typer.echo(significance_markdown(found))
    typer.echo(
        f"Row minus column; (n): on so many images; * = Holm-corrected p below .05 over "
        f"{len(found.pairs)} pairs (paired bootstrap, {resamples} resamples).\n"
    )
    return True
