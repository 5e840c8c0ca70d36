"""How far scores move under changes that should not move them, against the score's own spread.

Knows photos and metrics as functions. Must not know HTML, files or the command line.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.attack import NoGradientError, attack
from benchmarks.analysis.perturbations import PERTURBATIONS, Perturbation, eight_bit
from benchmarks.metrics.scorer import Scorer
from benchmarks.stats.bootstrap import mean_samples
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, distort

__all__ = ["ATTACKS", "RADII", "Attack", "falls", "measure", "shifts", "summary"]

Floats = NDArray[np.float64]
RADII = (1, 2)
BAD = ("gaublur", "jpeg", "whitenoise")
"""Faults of the photos whose score an attack tries to raise, in turn, each at the worst level."""


@dataclass(frozen=True)
class Attack:
    """One direction of the attack; it has the face of a `Perturbation`, and needs the metric."""

    name: str
    raising: bool
    unit: str = "grey levels"
    strengths: tuple[float, ...] = RADII

    @property
    def ticks(self) -> list[str]:
        """What stands under each strength."""
        return [f"{radius:g}" for radius in self.strengths]


ATTACKS = (
    Attack("attack lowers a good photo", raising=False),
    Attack("attack raises a bad photo", raising=True),
)


ROWS: tuple[Perturbation | Attack, ...] = (*PERTURBATIONS, *ATTACKS)


def measure(
    images: Sequence[Tensor],
    scorers: Sequence[Scorer],
    *,
    draws: int,
    seed: int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """All curves, ready for JSON.

    Args:
        images: (3, H, W) RGB in [0, 1], undistorted, at least 64 px on each side. They and all
            their versions are rounded to 8 bits, as files of them would be.
        scorers: The metrics; none a table.
        draws: Bootstrap samples of the images.
        seed: Of random directions, distortions and the bootstrap.
        tell: Told about progress.
    """
    photos = [eight_bit(image[None]) for image in images]
    fallen = np.empty((len(photos), len(scorers), len(DISTORTIONS)))
    moved: list[list[list[Floats | str]]] = [[] for _ in scorers]
    for i, photo in enumerate(photos):
        fallen[i] = falls(scorers, photo, seed + i)
        for scorer, own in zip(scorers, moved, strict=True):
            own.append(list(shifts(scorer, photo, i, seed)))
        tell(f"{i + 1} of {len(photos)} photos")
    rows = [
        summary(scorer, fallen[:, k], moved[k], draws=draws, seed=seed)
        for k, scorer in enumerate(scorers)
    ]
    return {"format": 1, "images": len(photos), "seed": seed, "metrics": rows}


def falls(scorers: Sequence[Scorer], photo: Tensor, seed: int) -> Floats:
    """How far the worst level of every type lies below the photo, (scorers, types)."""
    worst = np.empty((len(scorers), len(DISTORTIONS)))
    for t, name in enumerate(DISTORTIONS):
        version = distort(photo, name, LEVELS, torch.Generator().manual_seed(seed))
        worst[:, t] = [_turned(scorer, version) for scorer in scorers]
    own = np.array([_turned(scorer, photo) for scorer in scorers])
    return own[:, None] - worst


def shifts(scorer: Scorer, photo: Tensor, number: int, seed: int) -> Iterator[Floats | str]:
    """Change of score for each row of `PERTURBATIONS`, then of `ATTACKS`: (strengths,) each.

    Positive where the score says better. A text instead gives the reason why there is none.

    Args:
        scorer: The metric.
        photo: (1, 3, H, W), of 8-bit values.
        number: Of the photo; it decides what is wrong with the bad one.
        seed: Of everything random.
    """
    own = _turned(scorer, photo)
    for row in PERTURBATIONS:
        origin = own if row.origin is None else _turned(scorer, _changed(row, photo, row.origin, 0))
        after = [_turned(scorer, _changed(row, photo, s, seed + number)) for s in row.strengths]
        yield np.array(after) - origin
    rng = torch.Generator().manual_seed(seed + number)
    bad = eight_bit(distort(photo, BAD[number % len(BAD)], LEVELS, rng))
    for kind in ATTACKS:
        yield _attacked(scorer, bad if kind.raising else photo, kind)


def _changed(row: Perturbation, photo: Tensor, strength: float, seed: int) -> Tensor:
    return row.apply(photo, strength, torch.Generator().manual_seed(seed))


def _attacked(scorer: Scorer, photo: Tensor, kind: Attack) -> Floats | str:
    if scorer.differentiable is None:
        return "it has no gradient"
    raising = kind.raising != scorer.lower_is_better
    start = photo.to(scorer.device)
    try:
        versions = [
            attack(scorer.differentiable, start, int(radius), raising=raising)
            for radius in kind.strengths
        ]
    except NoGradientError as error:
        return str(error)
    return np.array([_turned(scorer, version) for version in versions]) - _turned(scorer, photo)


def _turned(scorer: Scorer, image: Tensor) -> float:
    """The score of an 8-bit copy, turned so that higher is better."""
    if scorer.score is None:
        raise ValueError(f"{scorer.name} is a table: it cannot score changed images")
    score = float(scorer.score(eight_bit(image).to(scorer.device)).flatten()[0])
    return -score if scorer.lower_is_better else score


def summary(
    scorer: Scorer,
    fallen: Floats,
    moved: Sequence[Sequence[Floats | str]],
    *,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """One metric's figures, from `falls` (images, types) and `shifts` (images of rows).

    ``spread`` is the median absolute fall over images and types, ``fell`` the share of them on
    which the score did fall. Of each change: ``size``, the mean absolute change over images, with
    its 95% bootstrap interval, ``worst``, the largest, and ``signed``, the mean; all in units of
    the score. ``share`` is size / spread.
    """
    spread = float(np.median(np.abs(fallen)))
    changes: list[dict[str, Any]] = []
    for row, per_photo in zip(ROWS, zip(*moved, strict=True), strict=True):
        head: dict[str, Any] = {"name": row.name, "unit": row.unit, "ticks": row.ticks}
        reasons = [one for one in per_photo if isinstance(one, str)]
        if reasons:
            changes.append({**head, "reason": reasons[0]})
            continue
        values = np.array(per_photo)
        samples = mean_samples(np.abs(values), resamples=draws, seed=seed)
        low, high = np.percentile(samples, [2.5, 97.5], axis=0)
        size = np.abs(values).mean(axis=0)
        figures = {
            "size": size, "low": low, "high": high, "worst": np.abs(values).max(axis=0),
            "signed": values.mean(axis=0), "share": size / spread if spread else size * np.nan,
        }  # fmt: skip
        changes.append({**head, **{key: _plain(value) for key, value in figures.items()}})
    return {
        "name": scorer.name,
        "signature": scorer.signature,
        "lower_is_better": scorer.lower_is_better,
        "spread": spread,
        "fell": float((fallen > 0).mean()),
        "changes": changes,
    }


def _plain(values: Floats) -> list[float | None]:
    """Numbers for JSON, which knows no NaN."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
