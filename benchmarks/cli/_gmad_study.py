"""`python -m benchmarks gmad study` and `gmad rank`: pairs -> page -> votes -> ranking.

Knows the command line and files. Must not know how pairs are chosen or votes are counted.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.cli._console import message
from benchmarks.cli._options import Resamples, Seed
from benchmarks.formatting import write_json
from benchmarks.gmad.result import ranking_text, summarise
from benchmarks.study.page import design_study, study_page
from benchmarks.study.votes import FEWEST_OBSERVERS, mean_preference, read_votes, screen
from qualiclip_metric.files import write_text

__all__ = ["rank", "study"]


def study(
    *,
    out: Annotated[Path, typer.Option(help="Folder of a played gMAD; study.html goes there.")],
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
    table = _read_pairs(pairs or out / "pairs.csv")
    design = design_study(table, seed, limit)
    files = _files(out, images)
    page = study_page(design, lambda name: _file(files, name), side, title)
    write_text(out / "study.html", page)
    message(f"{len(design['trials'])} pairs to vote on, {len(page) / 1e6:.1f} MB")
    typer.echo(out / "study.html")


def _read_pairs(path: Path) -> pd.DataFrame:
    text = dict.fromkeys(("attacker", "defender", "best", "worst"), str)
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"gap": [""]})
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected the pairs.csv of `gmad`, got: {error}") from error
    if missing := {*text, "level", "population", "gap"} - set(table.columns):
        raise ValueError(f"{path}: no columns {', '.join(sorted(missing))}: is it a pairs.csv?")
    return table


def _files(out: Path, images: Path | None) -> Path | dict[str, str]:
    """Where the images are: a root, or the paths that a results folder recorded."""
    if images is not None:
        return images
    played = out / "matrices.json"
    source = json.loads(played.read_text(encoding="utf-8"))["source"] if played.exists() else {}
    if "results" not in source:
        raise ValueError("the images' files are unknown: pass their root with --images DIR")
    from benchmarks.results.folder import load

    frame = load(source["results"], source["dataset"])
    return dict(zip(frame["image"].astype(str), frame["path"].astype(str), strict=True))


def _file(files: Path | dict[str, str], name: str) -> Path:
    if isinstance(files, Path):
        return files / name
    if name not in files:
        raise ValueError(f"the results folder has no file for {name}: pass --images DIR")
    return Path(files[name])


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
    del summary["bins"]  # A study knows only of the bins that gave a pair.
    if len(observers) < FEWEST_OBSERVERS:
        message(f"{len(observers)} observers: too few to screen (from {FEWEST_OBSERVERS} on)")
    for name in rejected:
        message(f"left out: {name}")
    if np.ptp(per_pair := table["votes"].to_numpy()):
        message(f"note: pairs have between {per_pair.min()} and {per_pair.max()} votes")
    for name in ("aggressiveness", "resistance"):
        typer.echo(ranking_text(name, summary[f"{name}_ranking"]))
    if out is not None:
        write_text(out / "votes.csv", table.to_csv(index=False, lineterminator="\n"))
        people = observers.to_dict("records")
        write_json(out / "ranking.json", {"format": 1, "observers": people, **summary})
        message(f"written: {out / 'votes.csv'}, {out / 'ranking.json'}")
