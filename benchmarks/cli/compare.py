"""`python -m benchmarks compare`: pairwise significance between metrics, as a matrix."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli._options import DatasetNames, MetricNames, Resamples, Results, Seed
from benchmarks.results import folder as store
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
    for name in dataset or store.datasets(results):
        scores = store.load(results, name, resolution)
        known: list[str] = scores.attrs["metrics"]
        unknown = [m for m in metric or [] if m not in known]
        if unknown:
            raise ValueError(
                f"{name}: no metric {', '.join(unknown)}; there are {', '.join(known)}"
            )
        pairs = compare_metrics(scores, metric or known, resamples=resamples, seed=seed)
        write_text(results / f"compare-{name}.csv", pairs.to_csv(index=False))
        label = scores.attrs["datasets"][name]["label"]
        typer.echo(f"## {label}: SRCC differences on {pairs['n'].iloc[0]} images\n")
        typer.echo(significance_markdown(pairs))
        typer.echo(
            f"Row minus column; * = Holm-corrected p below .05 over {len(pairs)} pairs "
            f"(paired bootstrap, {resamples} resamples).\n"
        )


app = compare
