"""`python -m benchmarks prompts`: which prompts carry the score, on labels or on ladders."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.analysis import prompts as analysis
from benchmarks.cli import message
from benchmarks.cli._options import (
    AllowMissing,
    AllowOutside,
    Dataset,
    Images,
    Limit,
    Model,
    Resamples,
    Seed,
)
from benchmarks.datasets import Dataset as LoadedDataset
from benchmarks.datasets import load, parse
from benchmarks.datasets.photos import pristine
from benchmarks.formatting import markdown, number, with_interval, write_json
from benchmarks.results.store import Key
from benchmarks.scoring import runner
from qualiclip_metric import create
from qualiclip_metric.explanations.pairs import names
from qualiclip_metric.metric import QualiCLIP

__all__ = ["prompts", "prompts_tables"]

NOTE = "Reported only: choose no setting by these figures.\n"


def prompts(
    *,
    model: Model = "lite",
    dataset: Dataset = None,
    allow_missing: AllowMissing = False,
    allow_outside: AllowOutside = False,
    images: Images = None,
    limit: Limit = None,
    out: Annotated[Path, typer.Option(help="Folder for figures and cache.")] = Path("results"),
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Score with each pair alone, each left out, one side alone, and other temperatures.

    With a dataset: SRCC with its labels. Without: the share of distortion levels in order. Every
    image is compared with the prompts once. The figures are reported; nothing is chosen by them.
    """
    if dataset and images:
        raise ValueError("--dataset and --images exclude each other")
    metric = create(model)
    rows = analysis.variants(names(metric), float(metric.logit_scale), metric.temperature)
    how = {"resamples": resamples, "seed": seed}
    if dataset:
        one = load(parse(dataset), allow_missing=allow_missing, allow_outside=allow_outside)
        cosines, mos, label = _labelled(metric, one, out)
        figures = analysis.against_labels(rows, cosines, mos, **how)
        head = {"measure": "SRCC", "label": label, "images": len(mos)}
    else:
        photos = pristine(images, limit)
        cosines = analysis.ladder_similarities(metric, [*photos.values()], seed, message)
        figures = analysis.against_levels(rows, cosines, **how)
        label = "ladders"
        head = {"measure": "level pairs in order", "label": label, "images": len(photos)}
    found = {
        "format": 1, "signature": str(metric.signature), **head, "rows": figures,
        "between_pairs": analysis.between_pairs(cosines).round(4).tolist(),
        "pairs": list(names(metric)), "note": NOTE.strip(),
    }  # fmt: skip
    write_json(out / label.split(" ")[0] / "prompts.json", found)
    typer.echo(prompts_tables(found), nl=False)


def _labelled(
    metric: QualiCLIP, one: LoadedDataset, out: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Cosines and labels of the images of a dataset that can be read, and its label."""
    frame = runner.prepare(one, out)
    key = Key(one.name, "prompts", str(metric.signature), False, "native")
    files = dict(zip(frame["digest"], frame["path"], strict=True))
    cosines = analysis.file_similarities(metric, files, out / one.name / f"{key.slug}.npz", message)
    position = {digest: row for row, digest in enumerate(files)}
    cosines = cosines[[position[digest] for digest in frame["digest"]]]
    good = np.isfinite(cosines).all(axis=(1, 2))
    if (~good).any():
        message(f"left out: {(~good).sum()} image(s) that could not be read")
    return cosines[good], frame["mos"].to_numpy(float)[good], one.label


def prompts_tables(found: dict[str, Any]) -> str:
    """The figures in Markdown: pairs, temperatures, correlation between pairs."""
    rows = {(row["group"], row["name"]): row for row in found["rows"]}
    head = ["pair", "alone", "score without it, change", "its positive prompt", "its negative"]
    body = [
        [
            name,
            _cell(rows["alone", name]),
            _cell(rows.get(("left out", name)), "gain"),
            *(_cell(rows[side, name]) for side in ("positive", "negative")),
        ]
        for name in found["pairs"]
    ]
    every = "all pairs"
    whole = _cell(rows["score", every])
    body.append(
        [every, whole, "", *(_cell(rows[side, every]) for side in ("positive", "negative"))]
    )
    heat = [[r["name"], _cell(r), _cell(r, "gain")] for r in found["rows"]
            if r["group"] == "temperature"]  # fmt: skip
    numbers = [str(i) for i, _ in enumerate(found["pairs"], start=1)]
    near = [
        [f"{i} {name}", *(number(value) for value in line)]
        for i, name, line in zip(numbers, found["pairs"], found["between_pairs"], strict=True)
    ]
    title = f"{found['measure']} [95%], {found['label']}, {found['images']} images"
    return "\n".join([
        f"{title}. `{found['signature']}`\n", markdown(head, body),
        markdown(["temperature", found["measure"], "change"], heat),
        "SRCC between the pairs:\n", markdown(["pair", *numbers], near), found["note"] + "\n",
    ])  # fmt: skip


def _cell(row: dict[str, Any] | None, key: str = "") -> str:
    if row is None:
        return "–"
    low, high = (row[f"{key}_{end}" if key else end] for end in ("low", "high"))
    return with_interval(row[key or "value"], low, high)
