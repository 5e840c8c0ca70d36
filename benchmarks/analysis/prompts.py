"""Which prompts carry a score: each pair, side and temperature by itself.

The figures are reported only: a setting chosen by them would have seen labels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from torch import Tensor

from benchmarks.analysis.monotonicity import along_ladders, ordered_pairs
from benchmarks.stats.bootstrap import interval, mean_samples, srcc_samples
from benchmarks.stats.correlations import srcc
from qualiclip_metric.files import atomic_write
from qualiclip_metric.images import ImageError, read
from qualiclip_metric.metric import QualiCLIP

__all__ = [
    "TEMPERATURES",
    "Variant",
    "against_labels",
    "against_levels",
    "between_pairs",
    "file_similarities",
    "ladder_similarities",
    "variants",
]

Array = NDArray[np.float64]
Combine = Callable[[Array], Array]
TEMPERATURES = (1.0, 2.0, 5.0, 10.0, math.inf)
INTERVAL = 100
"""Images between two messages, and between two writings of the cache."""


@dataclass(frozen=True)
class Variant:
    """A way to make one number from the similarities."""

    group: str  # ``score``, ``alone``, ``left out``, ``positive``, ``negative`` or ``temperature``
    name: str  # of the pair, or the temperature; ``all pairs`` where all take part
    combine: Combine  # (..., pairs, 2) cosines, positive first -> (...), higher is better


def mean_probability(cosines: Array, scale: float) -> Array:
    """Mean probability of the positive prompts, as in `antonym_score`: (..., pairs, 2) -> (...).

    ``mean_p 1 / (1 + exp(-scale (c_p+ - c_p-)))`` over the antonym pairs p. ``scale`` 0 stands for
    the limit of high temperatures, whose order is that of the mean difference of cosines.
    """
    gaps = cosines[..., 0] - cosines[..., 1]
    means: Array = (expit(scale * gaps) if scale else gaps).mean(axis=-1)
    return means


def variants(names: Sequence[str], logit_scale: float, temperature: float) -> list[Variant]:
    """List all variants of a metric, its own score first."""
    own = logit_scale / temperature
    every, numbers = "all pairs", list(range(len(names)))
    rows = [Variant("score", every, _scored(numbers, own)), *_sides(every, numbers)]
    for index, name in enumerate(names):
        rows += [Variant("alone", name, _scored([index], own)), *_sides(name, [index])]
        if others := [number for number in numbers if number != index]:
            rows.append(Variant("left out", name, _scored(others, own)))
    for value in TEMPERATURES:
        scale = 0.0 if math.isinf(value) else logit_scale / value
        rows.append(Variant("temperature", f"{value:g}", _scored(numbers, scale)))
    return rows


def _scored(pairs: list[int], scale: float) -> Combine:
    return lambda cosines: mean_probability(cosines[..., pairs, :], scale)


def _sides(name: str, pairs: list[int]) -> list[Variant]:
    """One side alone: nearness to the positive prompts, distance from the negative ones."""
    return [
        Variant("positive", name, lambda cosines: cosines[..., pairs, 0].mean(axis=-1)),
        Variant("negative", name, lambda cosines: -cosines[..., pairs, 1].mean(axis=-1)),
    ]


def against_labels(
    rows: Sequence[Variant], cosines: Array, mos: ArrayLike, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Compute the SRCC of every variant on cosines (images, pairs, 2), with 95% intervals.

    ``gain`` is the difference to the first row on the same resamples. None where undefined.
    """
    made = [row.combine(cosines) for row in rows]
    samples = srcc_samples(made, mos, resamples=resamples, seed=seed)
    return _records(rows, np.array([srcc(one, mos) for one in made]), samples)


def against_levels(
    rows: Sequence[Variant], cosines: Array, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Compute the share of levels in the right order; rows as in `against_labels`.

    Cosines are (images, types, levels, pairs, 2), mildest level first.
    """
    shares = np.stack([ordered_pairs(row.combine(cosines)).mean(axis=1) for row in rows], axis=1)
    samples = mean_samples(shares, resamples=resamples, seed=seed)
    return _records(rows, shares.mean(axis=0), samples)


def between_pairs(cosines: Array) -> Array:
    """(images, pairs, 2) -> (pairs, pairs): SRCC between the pairs' own scores."""
    gaps = (cosines[..., 0] - cosines[..., 1]).reshape(-1, cosines.shape[-2]).T
    return np.array([[srcc(one, other) for other in gaps] for one in gaps])


def _records(rows: Sequence[Variant], values: Array, samples: Array) -> list[dict[str, Any]]:
    records = []
    for k, row in enumerate(rows):
        own, gain = interval(samples[:, k]), interval(samples[:, k] - samples[:, 0])
        figures = {
            "value": values[k], "low": own.low, "high": own.high,
            "gain": values[k] - values[0], "gain_low": gain.low, "gain_high": gain.high,
        }  # fmt: skip
        plain = {key: float(v) if np.isfinite(v) else None for key, v in figures.items()}
        records.append({"group": row.group, "name": row.name, **plain})
    return records


def file_similarities(
    metric: QualiCLIP, files: Mapping[str, str], cache: Path, progress: Callable[[str], None]
) -> Array:
    """Compute cosines of image files: (files, pairs, 2); NaN for a file that cannot be read.

    ``cache`` (``.npz``, by digest) is extended; it must belong to this model alone.
    """
    known: dict[str, Array] = {}
    if cache.is_file():
        with np.load(cache) as held:
            known = dict(zip(held["digests"].tolist(), held["cosines"], strict=True))
    missing = [digest for digest in files if digest not in known]
    for done, digest in enumerate(missing, start=1):
        try:
            known[digest] = _similarities(metric, read(files[digest], colour="raw")[None])
        except ImageError as err:
            progress(str(err))
        if done % INTERVAL == 0 or done == len(missing):
            _write_cache(known, cache)
            progress(f"{done} of {len(missing)} images compared with the prompts")
    blank = np.full((len(metric.prompts), 2), np.nan)
    return np.stack([known.get(digest, blank) for digest in files])


def ladder_similarities(
    metric: QualiCLIP,
    photos: Sequence[Tensor],
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Array:
    """Compute cosines along the ladder of every type: (photos, types, LEVELS + 1, pairs, 2)."""
    return along_ladders(photos, lambda image: _similarities(metric, image), seed, progress)


def _similarities(metric: QualiCLIP, image: Tensor) -> Array:
    """(1, 3, H, W) -> (pairs, 2)."""
    with torch.inference_mode():
        cosines = metric.similarities(image.to(metric.device))[0]
    array: Array = cosines.double().numpy(force=True)
    return array


def _write_cache(known: Mapping[str, Array], cache: Path) -> None:
    if not known:
        return
    with atomic_write(cache) as scratch, scratch.open("wb") as file:
        np.savez(file, digests=np.array([*known]), cosines=np.stack([*known.values()]))
