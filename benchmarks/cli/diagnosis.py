"""`python -m benchmarks diagnosis`: is the fault of a degraded photo named?"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.diagnosis import correct_shares, fault_shares
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
    engine: EngineOption = Engine.auto,
    level: Annotated[
        int, typer.Option("--level", min=1, max=5, help="The mildest level that is shown.")
    ] = 2,
    out: JsonOut = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Degrade photos by one distortion type at a time: does the diagnosis name the fault?

    A row per fault: what the versions with it are called, and how often it is the likeliest of the
    faults when "no fault" is no answer.
    """
    metric = create(model, engine=engine)
    if not metric.faults:
        raise ValueError(f"--model: expected a model that has a diagnosis, got {model}")

    def diagnose(image: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            return metric.diagnose(image)[0].double().numpy(force=True)

    photos = pristine(images, limit)
    own, shares = [], []
    for i, photo in enumerate(photos.values()):
        probabilities, of_versions = fault_shares(diagnose, photo, metric.faults, seed + i, level)
        own.append(probabilities)
        shares.append(of_versions)
        message(f"diagnosis of {i + 1} of {len(photos)} photos")
    found = _figures(np.stack(own), np.stack(shares), resamples, seed)
    found |= {"format": 1, "signature": str(metric.signature), "level": level}
    if out is not None:
        write_json(out, found)
        message(str(out))
    typer.echo(f"{len(photos)} photos, levels {level} to {LEVELS}. `{metric.signature}`\n")
    typer.echo(diagnosis_table(metric.faults, found), nl=False)


def _figures(
    own: NDArray[np.float64], shares: NDArray[np.float64], resamples: int, seed: int
) -> dict[str, Any]:
    right = correct_shares(shares)
    bounds = [interval(column) for column in mean_samples(right, resamples=resamples, seed=seed).T]
    six, five = (
        [float(mean), bound.low, bound.high]
        for mean, bound in zip(right.mean(axis=0), bounds, strict=True)
    )
    return {
        "photos": len(own),
        "free": int((own.argmax(axis=1) == 0).sum()),
        "shares": shares.mean(axis=0).tolist(),
        "with no fault": six,
        "faults alone": five,
    }


def diagnosis_table(faults: Sequence[str], found: dict[str, Any]) -> str:
    """The figures in Markdown.

    Args:
        faults: Of the model, in its order.
        found: ``shares`` (faults, 2, 1 + faults), the mean over photos of `fault_shares`;
            ``with no fault`` and ``faults alone``: mean, low, high; ``photos`` and ``free``.
    """
    rows = [
        [fault, *(number(share, 2) for share in answered), number(alone[1 + i], 2)]
        for i, (fault, (answered, alone)) in enumerate(zip(faults, found["shares"], strict=True))
    ]
    head = ["versions with", "no fault", *faults, "likeliest of the faults"]
    five, six = (with_interval(*found[key]) for key in ("faults alone", "with no fault"))
    return (
        f"{markdown(head, rows)}\n"
        f"Balanced accuracy [95%, over photos]: {five} among the faults, {six} with no fault as an "
        f"answer.\n{found['free']} of {found['photos']} undegraded photos are called free of "
        "faults.\n"
    )
