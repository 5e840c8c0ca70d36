"""`python -m benchmarks speed int8`: would int8 keep the scores, and what would it save?"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.ladders import along_ladders
from benchmarks.cli._console import message
from benchmarks.cli._options import Images, JsonOut, Limit, Seed, ShortPhotos, size_of
from benchmarks.datasets.photos import pristine, shrunk
from benchmarks.formatting import write_json
from benchmarks.speed import cpu_seconds, int8
from benchmarks.speed.machine import instructions, machine
from benchmarks.speed.path import weights_of
from benchmarks.speed.quantisation import VARIANTS, calibration_images, check_installed
from qualiclip_metric import create
from qualiclip_metric.encoders import Encoder

__all__ = ["app"]

NO_VARIANT = "none"
"""Leaves int8 out, and the need for NNCF."""


def app(
    *,
    model: Annotated[str, typer.Option(help="lite, a checkpoint, rn50-seeded.")] = "lite",
    images: Images = None,
    limit: Limit = None,
    side: ShortPhotos = 512,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{'; '.join(VARIANTS)}; or {NO_VARIANT} alone. Default: all. May be repeated."
        ),
    ] = None,
    stages: Annotated[
        list[int] | None,
        typer.Option(min=0, help="bf16 with so many first convolutions in fp32. May be repeated."),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="HEIGHTxWIDTH, may be repeated; default: 512x512.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each engine, in turns.")] = 5,
    out: JsonOut = None,
    seed: Seed = 0,
) -> None:
    """Quantise a model to int8 in OpenVINO, by NNCF, and compare it with fp32 and bf16.

    With `--variant none`, fp32 and ways of bf16 are compared alone.

    Every second photo calibrates, with its ladders and without labels; the others are evaluated.
    """
    chosen = _chosen(variant)
    if chosen:
        check_installed()
    photos = [shrunk(photo, side) for photo in pristine(images, limit).values()]
    if len(photos) < 2:
        raise ValueError(f"--images: expected at least 2 photos, got {len(photos)}")
    evaluated = photos[::2]
    calibrating = list(calibration_images(photos[1::2], seed)) if chosen else []
    shapes = [size_of(text) for text in size or ["512x512"]]
    found: dict[str, Any] = {
        "machine": machine(), "model": model, "seed": seed, "rounds": rounds,
        "photos": len(evaluated), "calibration": len(calibrating), "sizes": shapes,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        metric = create(weights_of(model, Path(scratch)))
    assert isinstance(metric.encoder, Encoder)
    with cpu_seconds.one_thread(), torch.inference_mode():
        made = int8.engines(metric.encoder, calibrating, chosen, stages or (), message)
        found["seconds"] = cpu_seconds.shortest(made, shapes, rounds)
        metrics = [int8.through(metric, engine) for engine in made.values()]

        def scores(img: Tensor) -> NDArray[np.float64]:
            return np.array([float(each(img)) for each in metrics])

        found["agreement"] = int8.agreement(
            along_ladders(evaluated, scores, seed, message), list(made)
        )
    found["megabytes"] = int8.sizes(metric.encoder, made)
    if out is not None:
        write_json(out, found)
    typer.echo(f"{machine()['cpu']}, one thread; {instructions()}")
    typer.echo(f"{len(evaluated)} photos evaluated, {len(calibrating)} images of others calibrate")
    typer.echo(int8.table(found), nl=False)


def _chosen(names: list[str] | None) -> dict[str, Any]:
    if names == [NO_VARIANT]:
        return {}
    if unknown := sorted(set(names or []) - VARIANTS.keys()):
        raise ValueError(f"--variant: expected {'; '.join(VARIANTS)}, got {'; '.join(unknown)}")
    return {name: VARIANTS[name] for name in names or VARIANTS}
