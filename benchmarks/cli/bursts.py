"""`python -m benchmarks bursts`: is the undegraded photo of a burst picked? And the rule's fit."""

from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.analysis.bursts import (
    BURSTS,
    STRENGTHS,
    Frame,
    Outcome,
    compare_frames,
    draw_scene,
    fit_weights,
    make_frames,
    strength_text,
)
from benchmarks.cli import message
from benchmarks.cli._options import Images, JsonOut, Limit, MetricSpecs, Seed
from benchmarks.datasets.photos import pristine
from benchmarks.formatting import markdown, number, write_json
from benchmarks.metrics.build import build_scorer

DEFAULT = ("lite", "sharpness")


def bursts(
    *,
    metric: MetricSpecs = None,
    images: Images = None,
    limit: Limit = None,
    out: JsonOut = None,
    seed: Seed = 0,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Draw the strengths, and print fitted weights of `pick`."),
    ] = False,
) -> None:
    """Make bursts of photos with faults of known strength: is the undegraded frame picked?

    A row per fault and strength: the share of bursts in which `pick` (with the first metric) and
    each metric alone choose the undegraded frame, and the share that `pick` keeps in one group.
    """
    scorers = [build_scorer(text) for text in metric or DEFAULT]
    for scorer in scorers:
        scorer.require_score()
    photos = pristine(images, limit, least=64)
    frames: list[list[Frame]] = []
    for place, photo in enumerate(photos.values()):
        draws = seed + place
        scene, strengths = draw_scene(photo, draws) if fit else (photo, STRENGTHS)
        frames.append(make_frames(scene, scorers, draws, strengths))
        message(f"bursts of {place + 1} of {len(photos)} photos")
    if fit:
        typer.echo(f"{len(photos)} photos; `{scorers[0].signature}`\n")
        for term, weight in fit_weights(frames).items():
            typer.echo(f"{term}: {weight:.2f}")
        return
    names = ["pick", *(scorer.name for scorer in scorers)]
    shares = burst_shares([one for some in frames for one in compare_frames(some)], names)
    if out is not None:
        signatures = {scorer.name: scorer.signature for scorer in scorers}
        write_json(out, {"format": 1, "photos": len(photos), "rows": shares, **signatures})
        message(str(out))
    typer.echo(f"{len(photos)} photos; `{scorers[0].signature}`\n")
    typer.echo(bursts_table(shares, names), nl=False)


def burst_shares(outcomes: list[Outcome], metrics: list[str]) -> list[dict[str, Any]]:
    """Shares of bursts, a dict per kind and strength; None stands for all strengths in one."""
    rows = []
    for kind in BURSTS:
        for strength in (*STRENGTHS, None):
            some = [o for o in outcomes if (o.kind, o.strength) == (kind, strength)]
            picked = np.array([o.picked for o in some]).mean(axis=0)
            rows.append(
                {
                    "fault": kind,
                    "strength": strength,
                    **dict(zip(metrics, picked.tolist(), strict=True)),
                    "grouped": float(np.mean([o.grouped for o in some])),
                    "grouped by hash": float(np.mean([o.grouped_by_hash for o in some])),
                }
            )
    return rows


def bursts_table(rows: list[dict[str, Any]], metrics: list[str]) -> str:
    """The shares in Markdown."""
    cells = [
        [
            row["fault"],
            "all in one burst"
            if row["strength"] is None
            else strength_text(row["fault"], row["strength"]),
            *(number(row[name], 2) for name in (*metrics, "grouped", "grouped by hash")),
        ]
        for row in rows
    ]
    return markdown(["fault", "strength", *metrics, "one group", "the same, no times"], cells, 2)
