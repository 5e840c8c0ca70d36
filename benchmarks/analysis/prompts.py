"""Which prompts carry a score: the score with pairs, prompts and temperatures taken apart.

The figures are reported only: a setting chosen by them would have seen labels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from benchmarks.stats.bootstrap import interval, mean_samples, srcc_samples
from benchmarks.stats.correlations import srcc
from benchmarks.stats.ordering import ordered_pairs

__all__ = [
    "TEMPERATURES",
    "Variant",
    "against_labels",
    "against_levels",
    "between_pairs",
    "variants",
]

Array = NDArray[np.float64]
Combine = Callable[[Array], Array]
TEMPERATURES = (1.0, 2.0, 5.0, 10.0, math.inf)


@dataclass(frozen=True)
class Variant:
    """A way to make one number of the similarities.

    Attributes:
        group: ``score``, ``alone``, ``left out``, ``positive``, ``negative`` or ``temperature``.
        name: Of the pair, or the temperature; ``all pairs`` where all take part.
        combine: (..., pairs, 2) cosines, positive first -> (...), higher is better.
    """

    group: str
    name: str
    combine: Combine


def score(cosines: Array, scale: float) -> Array:
    """Mean probability of the positive prompts, as `qualiclip_metric.antonym_score` has it.

    ``mean_p 1 / (1 + exp(-scale (c_p+ - c_p-)))`` over the antonym pairs p.

    Args:
        cosines: (..., pairs, 2), positive prompt first.
        scale: Logit scale over temperature; 0 stands for the limit of high temperatures, whose
            order is that of the mean difference of cosines.

    Returns:
        (...), in [0, 1]; with ``scale`` 0 the mean difference.
    """
    gaps = cosines[..., 0] - cosines[..., 1]
    means: Array = (expit(scale * gaps) if scale else gaps).mean(axis=-1)
    return means


def variants(names: Sequence[str], logit_scale: float, temperature: float) -> list[Variant]:
    """All variants of a metric, its own score first.

    Args:
        names: Of its pairs.
        logit_scale: Its logit scale.
        temperature: Its own temperature.
    """
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
    return lambda cosines: score(cosines[..., pairs, :], scale)


def _sides(name: str, pairs: list[int]) -> list[Variant]:
    """One side alone: nearness to the positive prompts, distance from the negative ones."""
    return [
        Variant("positive", name, lambda cosines: cosines[..., pairs, 0].mean(axis=-1)),
        Variant("negative", name, lambda cosines: -cosines[..., pairs, 1].mean(axis=-1)),
    ]


def against_labels(
    rows: Sequence[Variant], cosines: Array, mos: ArrayLike, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """SRCC of every variant, with 95% bootstrap intervals over images, paired with the first row.

    Args:
        rows: From `variants`.
        cosines: (images, pairs, 2).
        mos: (images,), higher is better.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        Records: ``group``, ``name``, ``value``, ``low``, ``high``, and ``gain``, ``gain_low``,
        ``gain_high`` over the first row; None where a figure is undefined.
    """
    made = [row.combine(cosines) for row in rows]
    samples = srcc_samples(made, mos, resamples=resamples, seed=seed)
    return _records(rows, np.array([srcc(one, mos) for one in made]), samples)


def against_levels(
    rows: Sequence[Variant], cosines: Array, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Share of distortion levels in the right order under every variant; needs no label.

    Args:
        rows: From `variants`.
        cosines: (images, types, levels, pairs, 2), mildest level first.
        resamples: Of the bootstrap over images.
        seed: Of the bootstrap.

    Returns:
        Records as of `against_labels`.
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
