"""`python -m benchmarks diagnosis`: is the fault of a degraded photo named, and none otherwise?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.diagnosis import (
    BINS,
    Calibration,
    calibration,
    correct_shares,
    diagnoses,
    fault_shares,
)
from benchmarks.cli import message
from benchmarks.cli._options import Engine, EngineOption, Images, JsonOut, Limit, Resamples, Seed
from benchmarks.datasets.photos import pristine
from benchmarks.formatting import markdown, number, with_interval, write_json
from benchmarks.stats.bootstrap import interval, mean_samples
from qualiclip_metric import create
from qualiclip_metric.distortions import LEVELS

__all__ = ["diagnosis", "diagnosis_table"]


def diagnosis(
    *,
    model: Annotated[
        str, typer.Option("--model", help="lite, or a checkpoint that has a diagnosis.")
    ] = "lite",
    images: Images = None,
    limit: Limit = None,
    undegraded: Annotated[
        list[str] | None,
        typer.Option(
            "--undegraded", metavar="NAME=FOLDER", help="More photos, not degraded; repeatable."
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            "--held-out", min=0, max=1,
            help="Of --undegraded: only photos that a training with this validate_share held out.",
        ),
    ] = 1.0,
    engine: EngineOption = Engine.auto,
    level: Annotated[
        int, typer.Option("--level", min=1, max=5, help="The mildest level that is shown.")
    ] = 2,
    out: JsonOut = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:  # fmt: skip
    """Degrade photos by one distortion type at a time: does the diagnosis name the fault?

    A row per fault: what the versions with it are called, and how often it is the likeliest of the
    faults when "no fault" is no answer. Then the reliability of the probabilities, and the share of
    undegraded photos of each source that get the name of a fault.
    """
    metric = create(model, engine=engine)
    if not metric.faults:
        raise ValueError(f"--model: expected a model that has a diagnosis, got {model}")

    def diagnose(image: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            return metric.diagnose(image)[0].double().numpy(force=True)

    sources = {name: _held_out(folder, held_out) for name, folder in _named(undegraded or ())}
    photos = pristine(images, limit)
    found = []
    for i, photo in enumerate(photos.values()):
        found.append(diagnoses(diagnose, photo, metric.faults, seed + i, level))
        message(f"diagnosis of {i + 1} of {len(photos)} photos")
    alarms = {"the photos above": [int(p[0].argmax() > 0) for _, p in found]}
    for name, files in sources.items():
        own = [diagnose(photo[None]).argmax() for photo in (pristine([f])[f.stem] for f in files)]
        alarms[name] = [int(answer > 0) for answer in own]
        message(f"{name}: {len(own)} undegraded photos")
    prior = metric.provenance["training"].get("diagnosis", {}).get("prior", 1 / 6)
    figures = _figures(found, prior, resamples, seed)
    figures |= {"false alarms": {name: [sum(a), len(a)] for name, a in alarms.items()}}
    figures |= {"format": 2, "signature": str(metric.signature), "level": level}
    if out is not None:
        write_json(out, figures)
        message(str(out))
    typer.echo(f"{len(photos)} photos, levels {level} to {LEVELS}. `{metric.signature}`\n")
    typer.echo(diagnosis_table(metric.faults, figures), nl=False)


def _named(texts: Sequence[str]) -> list[tuple[str, Path]]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, equals, _) in zip(texts, pairs, strict=True) if not equals]:
        raise ValueError(f"--undegraded: expected NAME=FOLDER, got {wrong[0]}")
    return [(name, Path(folder)) for name, _, folder in pairs]


def _held_out(folder: Path, share: float) -> list[Path]:
    """Photos of a folder that a training with this validate_share holds out."""
    from qualiclip_metric.sources.folders import find
    from qualiclip_metric.training.digests import digest_photos, split

    files = find([folder])
    held = set(split(digest_photos(files), share)[1])
    return [file for file in files if file in held]


def _figures(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    prior: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    shares = np.stack([fault_shares(labels, probabilities) for labels, probabilities in found])
    right = correct_shares(shares)
    bounds = [interval(column) for column in mean_samples(right, resamples=resamples, seed=seed).T]
    six, five = (
        [float(mean), bound.low, bound.high]
        for mean, bound in zip(right.mean(axis=0), bounds, strict=True)
    )
    labels, probabilities = (np.concatenate(parts) for parts in zip(*found, strict=True))
    reliable = calibration(labels, probabilities, prior)
    return {
        "photos": len(found),
        "shares": shares.mean(axis=0).tolist(),
        "with no fault": six,
        "faults alone": five,
        "prior": prior,
        "calibration error": reliable.error,
        "reliability": [row for row in _rows(reliable) if row[2] > 0],
    }


def _rows(reliable: Calibration) -> list[list[float]]:
    return [[float(value) for value in row] for row in zip(*reliable[:3], strict=True)]


def diagnosis_table(faults: Sequence[str], found: dict[str, Any]) -> str:
    """The figures in Markdown.

    Args:
        faults: Of the model, in its order.
        found: ``shares`` (faults, 2, 1 + faults), the mean over photos of `fault_shares`;
            ``with no fault`` and ``faults alone``: mean, low, high; ``reliability``: rows of said,
            right, share; ``calibration error`` at ``prior``; ``false alarms``: name -> count, all.
    """
    rows = [
        [fault, *(number(share, 2) for share in answered), number(alone[1 + i], 2)]
        for i, (fault, (answered, alone)) in enumerate(zip(faults, found["shares"], strict=True))
    ]
    head = ["versions with", "no fault", *faults, "likeliest of the faults"]
    five, six = (with_interval(*found[key]) for key in ("faults alone", "with no fault"))
    curve = [[number(value, 2) for value in row] for row in found["reliability"]]
    alarms = [
        [name, str(count), str(whole), number(count / whole, 2) if whole else "–"]
        for name, (count, whole) in found["false alarms"].items()
    ]
    return (
        f"{markdown(head, rows)}\n"
        f"Balanced accuracy [95%, over photos]: {five} among the faults, {six} with no fault as an "
        "answer.\n\n"
        f"{markdown(['probability of the answer', 'right', 'share of the answers'], curve)}\n"
        f"Expected calibration error ({BINS} bins, a share of {found['prior']:.2f} undegraded): "
        f"{found['calibration error']:.3f}.\n\n"
        f"{markdown(['undegraded photos', 'a fault named', 'of', 'share'], alarms)}"
    )
