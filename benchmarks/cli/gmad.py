"""`python -m benchmarks gmad`: select the pairs, make a study of them, rank its votes."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.cli import message
from benchmarks.cli._options import DatasetName, MetricNames, Resamples, ResultsFolder, Seed
from benchmarks.formatting import write_json
from benchmarks.gmad.competition import Design
from benchmarks.gmad.pool import Pool, pool_from_results, read_wide
from benchmarks.gmad.result import (
    GmadResult,
    mos_preference,
    ranking_text,
    read_pairs,
    run_competition,
    summarise,
)
from benchmarks.results.folder import dataset_names, load
from benchmarks.study.page import design_study, study_page
from benchmarks.study.votes import FEWEST_OBSERVERS, mean_preference, read_votes, screen
from qualiclip_metric.files import write_text
from qualiclip_metric.images import pixels
from qualiclip_metric.near_duplicates import group_photos, perceptual_hash

__all__ = ["app"]

app = typer.Typer(
    help="gMAD: metrics attack each other on one pool of images.",
    no_args_is_help=True,
    add_completion=False,
)
RANKED = ("aggressiveness", "resistance")
HASHED_SIDE = 128
"""Shorter side, px, at which a large JPEG is decoded for its hash."""


class Scale(str, Enum):
    """Common scale of all metrics."""

    rank = "rank"
    logistic = "logistic"


class Distinct(str, Enum):
    """By what images of one content are known."""

    none = "none"
    reference = "reference"
    hash = "hash"


@app.callback(invoke_without_command=True)
def gmad(
    context: typer.Context,
    *,
    table: Annotated[Path | None, typer.Option(help="Wide csv: image, metrics, mos.")] = None,
    results: ResultsFolder = None,
    dataset: DatasetName = None,
    out: Annotated[Path | None, typer.Option(help="Folder for pairs.csv, matrices.json.")] = None,
    scale: Annotated[Scale, typer.Option(help="Common scale; logistic needs MOS.")] = Scale.rank,
    levels: Annotated[int, typer.Option(help="Quality levels per ordered pair.")] = 6,
    width: Annotated[float, typer.Option(help="Half width of a bin, in scale units.")] = 9.0,
    pairs: Annotated[int, typer.Option(help="Image pairs per bin.")] = 1,
    min_gap: Annotated[float, typer.Option(help="Smallest gap worth a pair, scale units.")] = 0.0,
    distinct: Annotated[Distinct, typer.Option(help="No content twice in a bin.")] = Distinct.none,
    images: Annotated[Path | None, typer.Option(help="Root of the images, for hashes.")] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="Wide csv with mos that the logistic is fitted on.")
    ] = None,
    metric: MetricNames = None,
    lower_better: Annotated[
        list[str] | None,
        typer.Option(help="Metric column of --table where lower is better. May be repeated."),
    ] = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Select the pairs on which metrics disagree most: pairs.csv and matrices.json in --out."""
    if context.invoked_subcommand:
        return
    if out is None:
        raise typer.BadParameter("expected a folder to write to", param_hint="--out")
    if results is not None and dataset is None:
        dataset = _only_dataset(results)
    pool = _pool(table, results, dataset, metric, lower_better or [])
    base = read_wide(labelled, pool.metrics, lower_better or []) if labelled else None
    result = run_competition(
        pool,
        Design(levels, width, pairs, min_gap),
        scale.value,
        labelled=base.labelled if base else None,
        contents=_contents(distinct, pool, images),
        distinct=distinct.value,
    )
    source = {"table": table, "results": results, "dataset": dataset, "labelled": labelled}
    _write(result, out, resamples, seed, {k: str(v) for k, v in source.items() if v})


def _only_dataset(results: Path) -> str:
    """The one data set of a results folder."""
    names = dataset_names(results)
    if len(names) > 1:
        raise ValueError(f"{results} has {', '.join(names)}: choose one with --dataset NAME")
    return names[0]


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
    if lower_better:
        raise typer.BadParameter("--results holds each metric's direction: leave it out")
    return pool_from_results(load(results, dataset), metric, source=f"{results}/{dataset}")


def _contents(distinct: Distinct, pool: Pool, images: Path | None) -> list[object] | None:
    """One content key per image of the pool, or None where contents do not matter."""
    if distinct is Distinct.none:
        return None
    if distinct is Distinct.reference:
        if not any(pool.reference):
            raise ValueError("--distinct reference: the table has no reference column with values")
        # An image without a reference is a content of its own.
        return [r or ("image", i) for r, i in zip(pool.reference, pool.images, strict=True)]
    files = [str(images / name) for name in pool.images] if images else pool.paths
    if not files:
        raise ValueError("the images' files are unknown: pass their root with --images DIR")
    hashes = [perceptual_hash(pixels(file, side=HASHED_SIDE)) for file in files]
    return list(group_photos(hashes))


def _write(
    result: GmadResult, out: Path, resamples: int, seed: int, source: dict[str, str]
) -> None:
    pool, design, table = result.pool, result.design, result.pairs_table()
    preference = mos_preference(table, pool.mos)
    summary = summarise(table, pool.metrics, preference, resamples=resamples, seed=seed)
    settings: dict[str, Any] = {
        "scale": result.scale,
        "source": source,
        "levels": design.levels,
        "width": design.width,
        "pairs_per_bin": design.pairs,
        "min_gap": design.min_gap,
        "distinct": result.distinct,
        "images": len(pool.images),
        "images_left_out": pool.dropped,
        "preference": None if preference is None else "MOS difference, percent of the pool's range",
        "signatures": pool.signatures,
        "notes": pool.notes,
    }
    write_text(out / "pairs.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(out / "matrices.json", {"format": 1, **settings, **summary})
    _print_summary(result, summary)
    typer.echo(f"{out / 'pairs.csv'}\n{out / 'matrices.json'}")


def _print_summary(result: GmadResult, summary: dict[str, Any]) -> None:
    for note in result.pool.notes:
        message(f"note: {note}")
    bins = summary["bins"]
    message(
        f"{bins['paired']} of {bins['asked']} bins gave a pair ({bins['empty']} empty, "
        f"{bins['single_image']} with one image, {bins['no_pair_allowed']} without an allowed "
        f"pair); {result.scale} scale"
    )
    if RANKED[0] not in summary:
        message("no MOS: attack gaps only; votes of a study give aggressiveness and resistance")
        return
    for name in RANKED:
        message(ranking_text(name, summary[f"{name}_ranking"]))


@app.command()
def study(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the pairs; study.html goes there.")],
    pairs: Annotated[Path | None, typer.Option(help="Default: pairs.csv in --out.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Root of the images; default: where --results had them.")
    ] = None,
    side: Annotated[int, typer.Option(help="Shrink larger images to this many pixels.")] = 1280,
    limit: Annotated[int | None, typer.Option(help="Keep the widest gaps only.", min=1)] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Image quality study",
    seed: Seed = 0,
) -> None:
    """Write a self-contained page on which people vote on the pairs."""
    design = design_study(read_pairs(pairs or out / "pairs.csv"), seed, limit)
    files = _files(out, images)
    page = study_page(design, lambda name: _file(files, name), side, title)
    write_text(out / "study.html", page)
    message(f"{len(design['trials'])} pairs to vote on, {len(page) / 1e6:.1f} MB")
    typer.echo(out / "study.html")


def _files(out: Path, images: Path | None) -> Path | dict[str, str]:
    """Where the images are: a root, or the paths that a results folder recorded."""
    if images is not None:
        return images
    matrices = out / "matrices.json"
    source = json.loads(matrices.read_text(encoding="utf-8"))["source"] if matrices.exists() else {}
    if "results" not in source:
        raise ValueError("the images' files are unknown: pass their root with --images DIR")
    frame = load(source["results"], source["dataset"])
    return dict(zip(frame["image"].astype(str), frame["path"].astype(str), strict=True))


def _file(files: Path | dict[str, str], name: str) -> Path:
    if isinstance(files, Path):
        return files / name
    if name not in files:
        raise ValueError(f"the results folder has no file for {name}: pass --images DIR")
    return Path(files[name])


@app.command()
def rank(
    *,
    votes: Annotated[list[Path], typer.Option(help="csv files that the study's page saved.")],
    more: Annotated[list[Path] | None, typer.Argument(help="More of them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for ranking.json, votes.csv.")] = None,
    screened: Annotated[
        bool, typer.Option("--screen/--no-screen", help="Leave out outlying observers (BT.500).")
    ] = True,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Screen the observers of a study and rank the metrics by their votes."""
    cast = read_votes([*votes, *(more or [])])
    observers = screen(cast)
    rejected = observers["observer"][observers["rejected"] & screened]
    table = mean_preference(cast[~cast["observer"].isin(rejected)])
    metrics = sorted({*table["attacker"], *table["defender"]})
    preference = table["preference"].to_numpy(float)
    summary = summarise(table, metrics, preference, resamples=resamples, seed=seed)
    del summary["bins"]  # A study holds only the bins that gave a pair.
    if len(observers) < FEWEST_OBSERVERS:
        message(f"{len(observers)} observers: too few to screen (from {FEWEST_OBSERVERS} on)")
    for name in rejected:
        message(f"left out: {name}")
    if np.ptp(per_pair := table["votes"].to_numpy()):
        message(f"note: pairs have between {per_pair.min()} and {per_pair.max()} votes")
    for name in RANKED:
        typer.echo(ranking_text(name, summary[f"{name}_ranking"]))
    if out is not None:
        write_text(out / "votes.csv", table.to_csv(index=False, lineterminator="\n"))
        people = observers.to_dict("records")
        write_json(out / "ranking.json", {"format": 1, "observers": people, **summary})
        message(f"written: {out / 'votes.csv'}, {out / 'ranking.json'}")
