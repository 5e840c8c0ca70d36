"""Robustness: how far scores move under invisible changes, relative to the score's spread."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.attack import NoGradientError, attack
from benchmarks.analysis.perturbations import PERTURBATIONS, Perturbation, eight_bit
from benchmarks.formatting import without_nan
from benchmarks.metrics.scorer import Scorer
from benchmarks.stats.bootstrap import mean_samples
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, distort, versions

__all__ = [
    "ATTACKS",
    "RADII",
    "Attack",
    "measure_robustness",
    "robustness_summary",
    "score_deltas",
    "score_drops",
]

RADII = (1, 2)
FAULTS = ("gaublur", "jpeg", "whitenoise")
"""Distortions, at the worst level, of the photos whose score an attack is to raise; in turn."""


@dataclass(frozen=True)
class Attack:
    """One direction of the attack: a row of the table beside those of `Perturbation`."""

    name: str
    raising: bool  # whether the score of a distorted photo is to be raised, or a good one's lowered
    unit: str = "grey levels"
    strengths: tuple[float, ...] = RADII

    @property
    def ticks(self) -> list[str]:
        """Labels of the strengths."""
        return [f"{radius:g}" for radius in self.strengths]


ATTACKS = (
    Attack("attack lowers a good photo", raising=False),
    Attack("attack raises a bad photo", raising=True),
)
ROWS: tuple[Perturbation | Attack, ...] = (*PERTURBATIONS, *ATTACKS)

Deltas = NDArray[np.float64] | str
"""Change of score at each strength, or the reason why it cannot be measured."""


def measure_robustness(
    images: Sequence[Tensor],
    scorers: Sequence[Scorer],
    *,
    resamples: int,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compute all curves, ready for JSON; images are (3, H, W), at least 64 px on each side.

    Images and their versions are rounded to 8 bits, as files of them would be.
    """
    photos = [eight_bit(image[None]) for image in images]
    drops = np.empty((len(photos), len(scorers), len(DISTORTIONS)))
    deltas: list[list[list[Deltas]]] = [[] for _ in scorers]
    for i, photo in enumerate(photos):
        drops[i] = score_drops(scorers, photo, seed + i)
        for scorer, own in zip(scorers, deltas, strict=True):
            own.append(list(score_deltas(scorer, photo, i, seed)))
        progress(f"{i + 1} of {len(photos)} photos")
    rows = [
        robustness_summary(scorer, drops[:, k], deltas[k], resamples=resamples, seed=seed)
        for k, scorer in enumerate(scorers)
    ]
    return {"format": 1, "images": len(photos), "seed": seed, "metrics": rows}


def score_drops(scorers: Sequence[Scorer], photo: Tensor, seed: int) -> NDArray[np.float64]:
    """Measure how far the worst level of every type scores below the photo: (scorers, types)."""
    own = [_quality(scorer, photo) for scorer in scorers]
    worst = [
        [_quality(scorer, version) for scorer in scorers]
        for _, _, version in versions(photo, seed, levels=[LEVELS])
    ]
    drops: NDArray[np.float64] = np.array(own)[:, None] - np.array(worst).T
    return drops


def score_deltas(scorer: Scorer, photo: Tensor, number: int, seed: int) -> Iterator[Deltas]:
    """Yield the change of score for each row of `PERTURBATIONS`, then of `ATTACKS`: (strengths,).

    Where it cannot be measured, the reason stands in its place.
    """
    own = _quality(scorer, photo)
    for row in PERTURBATIONS:
        origin = own
        if row.origin is not None:
            origin = _quality(scorer, _perturbed(row, photo, row.origin, 0))
        after = [_quality(scorer, _perturbed(row, photo, s, seed + number)) for s in row.strengths]
        yield np.array(after) - origin
    rng = torch.Generator().manual_seed(seed + number)
    bad = eight_bit(distort(photo, FAULTS[number % len(FAULTS)], LEVELS, rng))
    for kind in ATTACKS:
        yield _attack_deltas(scorer, bad if kind.raising else photo, kind)


def _perturbed(row: Perturbation, photo: Tensor, strength: float, seed: int) -> Tensor:
    return row.apply(photo, strength, torch.Generator().manual_seed(seed))


def _attack_deltas(scorer: Scorer, photo: Tensor, kind: Attack) -> Deltas:
    if scorer.differentiable is None:
        return "it has no gradient"
    raising = kind.raising != scorer.lower_is_better
    start = photo.to(scorer.device)
    try:
        attacked = [
            attack(scorer.differentiable, start, int(radius), raising=raising)
            for radius in kind.strengths
        ]
    except NoGradientError as err:
        return str(err)
    return np.array([_quality(scorer, image) for image in attacked]) - _quality(scorer, photo)


def _quality(scorer: Scorer, image: Tensor) -> float:
    """The score of an 8-bit copy, turned so that higher is better."""
    return scorer.sign * scorer.score_image(eight_bit(image))


def robustness_summary(
    scorer: Scorer,
    drops: NDArray[np.float64],
    deltas: Sequence[Sequence[Deltas]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Summarise one metric: ``spread``, ``worst_level_lower``, ``changes``; None where undefined.

    ``spread`` is the median absolute drop over images and types; ``worst_level_lower`` the share of
    them whose worst level scores lower. Of each change: ``size`` (mean absolute delta over images,
    with 95% interval), ``worst`` (largest), ``signed`` (mean), ``share`` (size / spread).
    """
    spread = float(np.median(np.abs(drops)))
    return {
        "name": scorer.name,
        "signature": scorer.signature,
        "lower_is_better": scorer.lower_is_better,
        "spread": spread,
        "worst_level_lower": float((drops > 0).mean()),
        "changes": [
            _change(row, per_photo, spread, resamples, seed)
            for row, per_photo in zip(ROWS, zip(*deltas, strict=True), strict=True)
        ],
    }


def _change(
    row: Perturbation | Attack,
    per_photo: Sequence[Deltas],
    spread: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    head: dict[str, Any] = {"name": row.name, "unit": row.unit, "ticks": row.ticks}
    reasons = [one for one in per_photo if isinstance(one, str)]
    if reasons:
        return {**head, "reason": reasons[0]}
    values = np.array(per_photo)
    samples = mean_samples(np.abs(values), resamples=resamples, seed=seed)
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    size = np.abs(values).mean(axis=0)
    figures = {
        "size": size, "low": low, "high": high, "worst": np.abs(values).max(axis=0),
        "signed": values.mean(axis=0), "share": size / spread if spread else size * np.nan,
    }  # fmt: skip
    rounded = {k: [float(f"{v:.5g}") for v in values] for k, values in figures.items()}
    without: dict[str, Any] = without_nan(rounded)
    return {**head, **without}
