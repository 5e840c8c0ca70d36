"""`python -m benchmarks explain`: whether maps find a fault and profiles name it."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from torch import Tensor

from benchmarks.analysis import faithfulness
from benchmarks.analysis.localisation import FIGURES
from benchmarks.cli import message
from benchmarks.cli._options import Images, JsonOut, Limit, Models, Resamples, Seed, ShortPhotos
from benchmarks.datasets.photos import pristine, shrunk
from benchmarks.formatting import markdown, number, with_interval, write_json
from qualiclip_metric import create
from qualiclip_metric.explanations.pairs import names
from qualiclip_metric.metric import QualiCLIP

__all__ = ["explain", "explain_tables"]


def explain(
    *,
    model: Models = None,
    images: Images = None,
    limit: Limit = None,
    side: ShortPhotos = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="positive, negative, difference, local, positions or shares; default: all that "
            "the model has. May be repeated.",
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile/--no-profile", help="Whether to judge profiles as well as maps."),
    ] = True,
    out: JsonOut = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Put one fault into a known region, and into whole photos; judge every map and the profile.

    Maps: does the maximum fall inside (pointing), the area under the ROC curve over pixels (AUC),
    energy inside over the share of the area; against model-free baselines. Profile: the pair
    whose probability dropped most.
    """
    photos = [shrunk(photo, side) for photo in pristine(images, limit).values()]
    metrics = {text: create(text) for text in dict.fromkeys(model or ["lite"])}
    chosen = {
        f"{Path(text).name}: {method}": make
        for text, metric in metrics.items()
        for method, make in faithfulness.maps_of(metric, maps).items()
    }
    localised = _localised(chosen, photos, resamples=resamples, seed=seed)
    profiles = [
        _profile(metric, photos, resamples=resamples, seed=seed)
        for metric in (metrics.values() if profile else ())
    ]
    found = {
        "format": 1, "images": len(photos), "seed": seed,
        "signatures": [str(metric.signature) for metric in metrics.values()],
        "maps": localised, "profiles": profiles,
    }  # fmt: skip
    if out is not None:
        write_json(out, found)
        message(str(out))
    typer.echo(explain_tables(found), nl=False)


def _localised(
    chosen: dict[str, faithfulness.Map], photos: list[Tensor], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    maps = chosen | faithfulness.baselines(seed)
    found = []
    for i, photo in enumerate(photos):
        found.append(faithfulness.localise(photo, maps, seed=seed + i))
        message(f"maps of {i + 1} of {len(photos)} photos")
    return faithfulness.localisation_summary(
        np.stack(found), list(maps), resamples=resamples, seed=seed
    )


def _profile(
    metric: QualiCLIP, photos: list[Tensor], *, resamples: int, seed: int
) -> dict[str, Any]:
    drops = []
    for i, photo in enumerate(photos):
        drops.append(faithfulness.profile_drops(metric, photo, seed=seed + i))
        message(f"profiles of {i + 1} of {len(photos)} photos")
    negatives = [pair[1] for pair in metric.pairs] or [""] * len(metric.prompts)
    rows = faithfulness.confusion(drops, negatives, resamples=resamples, seed=seed)
    return {"signature": str(metric.signature), "pairs": list(names(metric)), "rows": rows}


def explain_tables(found: dict[str, Any]) -> str:
    """The figures in Markdown: maps over all faults, maps by fault, one confusion per model."""
    maps = found["maps"]
    faults = list(dict.fromkeys(row["fault"] for row in maps))
    whole = [
        [row["map"], *(with_interval(*row[figure]) for figure in FIGURES)]
        for row in maps
        if row["fault"] == "all"
    ]
    parts = [
        f"{found['images']} photos. {', '.join(f'`{s}`' for s in found['signatures'])}\n",
        markdown(["map", *(f"{figure} [95%]" for figure in FIGURES)], whole),
    ]
    by = {(row["map"], row["fault"]): row for row in maps}
    for figure in ("pointing", "AUC"):
        lines = [
            [name, *(number(by[name, fault][figure][0], 2) for fault in faults)]
            for name in dict.fromkeys(row["map"] for row in maps)
        ]
        parts.append(f"{figure} by fault:\n")
        parts.append(markdown(["map", *faults], lines))
    return "\n".join([*parts, *(_matrix(profile) for profile in found["profiles"])])


def _matrix(profile: dict[str, Any]) -> str:
    """Shares of the faulty photos on which each pair dropped most; those that name it bold."""
    lines = []
    for row in profile["rows"]:
        cells = [f"{share:.0%}" for share in row["shares"]]
        for i in row["expected"]:
            cells[i] = f"**{cells[i]}**"
        right = "–"
        if row["expected"]:
            share, low, high = row["right"]
            right = f"{with_interval(share, low, high, 2)} ({row['chance']:.2f})"
        lines.append([row["fault"], *cells, right])
    head = ["fault", *profile["pairs"], "named [95%] (chance)"]
    return f"Pair that dropped most, `{profile['signature']}`:\n\n{markdown(head, lines)}"
