"""`python -m benchmarks gmad`: play, make a study, rank its votes.

Knows the command line and files. Must not know the algorithm.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.cli._console import message
from benchmarks.cli._gmad_study import rank, study
from benchmarks.cli._options import DatasetName, MetricNames, Resamples, ResultsFolder, Seed
from benchmarks.formatting import write_json
from benchmarks.gmad.competition import Design
from benchmarks.gmad.near_duplicates import group_hashes, hash_files
from benchmarks.gmad.pool import Pool, pool_from_results, read_wide
from benchmarks.gmad.result import Outcome, mos_preference, play, ranking_text, summarise
from qualiclip_metric.files import write_text

__all__ = ["app"]

app = typer.Typer(
    help="gMAD: metrics attack each other on one pool of images.", no_args_is_help=True
)
app.command()(study)
app.command()(rank)

Lower = Annotated[
    list[str] | None,
    typer.Option("--lower-better", help="Metric column of --table where lower is better; repeat."),
]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    *,
    table: Annotated[Path | None, typer.Option(help="Wide csv: image, metrics, mos.")] = None,
    results: ResultsFolder = None,
    dataset: DatasetName = None,
    out: Annotated[Path | None, typer.Option(help="Folder for pairs.csv, matrices.json.")] = None,
    scale: Annotated[
        str, typer.Option(help="Common scale: rank, or logistic (needs MOS).")
    ] = "rank",
    levels: Annotated[int, typer.Option(help="Quality levels per ordered pair.")] = 6,
    width: Annotated[float, typer.Option(help="Half width of a bin, in scale units.")] = 9.0,
    pairs: Annotated[int, typer.Option(help="Image pairs per bin.")] = 1,
    min_gap: Annotated[float, typer.Option(help="Smallest gap worth a pair, scale units.")] = 0.0,
    distinct: Annotated[
        str, typer.Option(help="No content twice in a bin: none, reference or hash.")
    ] = "none",
    images: Annotated[Path | None, typer.Option(help="Root of the images, for hashes.")] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="Wide csv with mos that the logistic is fitted on.")
    ] = None,
    metric: MetricNames = None,
    lower_better: Lower = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Play gMAD on a score table: writes pairs.csv and matrices.json to --out."""
    if context.invoked_subcommand:
        return
    if out is None:
        raise typer.BadParameter("expected a folder to write to", param_hint="--out")
    pool = _pool(table, results, dataset, metric, lower_better or [])
    base = read_wide(labelled, pool.metrics, lower_better or []) if labelled else None
    outcome = play(
        pool,
        Design(levels, width, pairs, min_gap),
        scale,
        labelled=base.labelled if base else None,
        contents=_contents(distinct, pool, images),
        distinct=distinct,
    )
    source = {"table": table, "results": results, "dataset": dataset, "labelled": labelled}
    _write(outcome, out, resamples, seed, {k: str(v) for k, v in source.items() if v})


def _pool(
    table: Path | None,
    results: Path | None,
    dataset: str | None,
    metric: list[str] | None,
    lower_better: list[str],
) -> Pool:
    if table is not None and results is None:
        return read_wide(table, metric, lower_better)
    if table is not None or results is None:
        raise typer.BadParameter("expected either --table WIDE.csv or --results DIR")
    if dataset is None:
        raise typer.BadParameter("expected the data set's name", param_hint="--dataset")
    if lower_better:
        raise typer.BadParameter("--results knows each metric's direction: leave it out")
    from benchmarks.results.folder import load

    return pool_from_results(load(results, dataset), metric, source=f"{results}/{dataset}")


def _contents(distinct: str, pool: Pool, images: Path | None) -> list[object] | None:
    """One content key per image of the pool, or None where contents do not matter."""
    if distinct == "none":
        return None
    if distinct == "reference":
        if not any(pool.reference):
            raise ValueError("--distinct reference: the table has no reference column with values")
        # An image without a reference is a content of its own.
        return [r or ("image", i) for r, i in zip(pool.reference, pool.images, strict=True)]
    if distinct != "hash":
        raise ValueError(f"--distinct: expected none, reference or hash, got {distinct!r}")
    files = [str(images / name) for name in pool.images] if images else pool.paths
    if not files:
        raise ValueError("the images' files are unknown: pass their root with --images DIR")
    return list(group_hashes(hash_files([Path(file) for file in files])))


def _write(outcome: Outcome, out: Path, resamples: int, seed: int, source: dict[str, str]) -> None:
    pool, table = outcome.pool, outcome.table()
    preference = mos_preference(table, pool.mos)
    summary = summarise(table, pool.metrics, preference, resamples=resamples, seed=seed)
    design = outcome.design
    settings: dict[str, Any] = {
        "scale": outcome.scale,
        "source": source,
        "levels": design.levels,
        "width": design.width,
        "pairs_per_bin": design.pairs,
        "min_gap": design.min_gap,
        "distinct": outcome.distinct,
        "images": len(pool.images),
        "images_left_out": pool.dropped,
        "preference": None if preference is None else "MOS difference, percent of the pool's range",
        "signatures": pool.signatures,
        "notes": pool.notes,
    }
    write_text(out / "pairs.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(out / "matrices.json", {"format": 1, **settings, **summary})
    for note in pool.notes:
        message(f"note: {note}")
    bins = summary["bins"]
    message(
        f"{bins['paired']} of {bins['asked']} bins gave a pair ({bins['empty']} empty, "
        f"{bins['single_image']} with one image, {bins['no_pair_allowed']} without an allowed "
        f"pair); {outcome.scale} scale"
    )
    if preference is None:
        message("no MOS: attack gaps only; votes of a study give aggressiveness and resistance")
    for name in ("aggressiveness", "resistance"):
        if preference is not None:
            message(ranking_text(name, summary[f"{name}_ranking"]))
    typer.echo(f"{out / 'pairs.csv'}\n{out / 'matrices.json'}")
