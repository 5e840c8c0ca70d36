"""`python -m benchmarks report`: the page, the monotonicity panel's data, an example."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.analysis.monotonicity import measure_monotonicity
from benchmarks.analysis.robustness import measure_robustness
from benchmarks.cli import message
from benchmarks.cli._options import (
    Images,
    MetricSpecs,
    RequiredMetricSpecs,
    Resamples,
    Results,
    ResultsFolder,
    Seed,
)
from benchmarks.datasets.photos import sample_photos
from benchmarks.formatting import write_json
from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import Scorer
from benchmarks.report.data import gather
from benchmarks.report.example import SIDE, distorted_copies, score_copies
from benchmarks.report.measured import MONOTONICITY, ROBUSTNESS
from benchmarks.report.page import report_page
from benchmarks.report.provenance import made_on, software, written_on
from qualiclip_metric.files import write_text
from qualiclip_metric.images import read
from qualiclip_metric.sources.folders import find

__all__ = ["app"]

TITLE = "Image quality metrics compared"

app = typer.Typer(
    help="A self-contained report page on a results folder.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def report(
    context: typer.Context,
    *,
    results: ResultsFolder = None,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = TITLE,
    budget: Annotated[float, typer.Option(help="Megabytes for all pictures.", min=0)] = 18.0,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Write one page with tables, plots, pictures and gMAD; it needs no network."""
    if context.invoked_subcommand:
        return
    if results is None:
        raise typer.BadParameter("expected a results folder", param_hint="--results")
    _write(results, out, title, budget=budget, resamples=resamples, seed=seed)


def _write(
    results: Path, out: Path, title: str, *, budget: float, resamples: int, seed: int
) -> None:
    gathered = gather(results, budget=int(budget * 1e6), resamples=resamples, seed=seed)
    scored = written_on(sorted(results.glob("*/*.parquet")))
    page = report_page(
        gathered, {"made": made_on(), "scored": scored, "software": software()}, title
    )
    write_text(out, page)
    message(f"{len(gathered['datasets'])} dataset(s), {len(page.encode()) / 1e6:.1f} MB")
    typer.echo(out)


def _scorers(metrics: list[str]) -> dict[str, Scorer]:
    """``--metric`` text -> scorer, for metrics that can score new images."""
    scorers = {text: build_scorer(text) for text in dict.fromkeys(metrics)}
    for scorer in scorers.values():
        scorer.require_score()
    return scorers


@app.command()
def monotonicity(
    *,
    metric: RequiredMetricSpecs,
    results: Results,
    images: Images = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Score every type of distortion at every level, for the report's monotonicity panel."""
    scorers = _scorers(metric)
    pictures = (
        [read(path, colour="raw") for path in find(images)]
        if images
        else [*sample_photos().values()]
    )
    panel = measure_monotonicity(
        pictures, [*scorers.values()], resamples=resamples, seed=seed, progress=message
    )
    write_json(results / MONOTONICITY, panel)
    typer.echo(results / MONOTONICITY)


@app.command()
def example(
    *,
    out: Annotated[Path, typer.Option(help="Folder for report.html.")],
    metric: MetricSpecs = None,
    side: Annotated[int, typer.Option(help="Longer side of the photos, px.", min=128)] = SIDE,
    budget: Annotated[float, typer.Option(help="Megabytes for all pictures.", min=0)] = 2.2,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Write an example report from scikit-image's photos and their distorted copies.

    Default metrics: lite, pyiqa:piqe, sharpness, jpegsize.
    """
    scorers = _scorers(metric or ["lite", "pyiqa:piqe", "sharpness", "jpegsize"])
    with tempfile.TemporaryDirectory() as work:
        photos, results = sample_photos(side=side), Path(work) / "results"
        (folder := Path(work) / "images").mkdir()
        score_copies(distorted_copies(photos, folder, seed), scorers, results, message)
        pictures = [*photos.values()]
        for name, measure in (
            (MONOTONICITY, measure_monotonicity),
            (ROBUSTNESS, measure_robustness),
        ):
            panel = measure(
                pictures, [*scorers.values()], resamples=resamples, seed=seed, progress=message
            )
            write_json(results / name, panel)
        page, title = out / "report.html", "Example report: distorted photos"
        _write(results, page, title, budget=budget, resamples=resamples, seed=seed)
