"""Scores of many metrics on one common 0..100 scale."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from benchmarks.gmad.competition import rank_scale
from benchmarks.stats import FloatArray
from benchmarks.stats.logistic import logistic4

__all__ = ["SCALES", "Labelled", "logistic_scale", "to_common_scale"]


FLAT = 1.0
"""A fit whose values lie within so many scale units is refused."""


@dataclass(frozen=True)
class Labelled:
    """Labelled images."""

    scores: FloatArray  # ``(k, m)`` scores, higher is better
    mos: FloatArray  # ``(k,)`` MOS, higher is better


def logistic_scale(score: FloatArray, labelled_score: FloatArray, mos: FloatArray) -> FloatArray:
    """Map one metric to [0, 100] through a monotone 4-parameter logistic fitted on labelled images.

    The labels are stretched linearly to 0..100, and both asymptotes are kept within 0..100, so the
    mapped scores are too. The slope may have either sign: a metric that falls with quality turns.
    A fit that fails is a ValueError with the reason; there is no fallback. Needs 5 labelled images.
    """
    if len(mos) < 5:
        raise ValueError(f"needs at least 5 labelled images, got {len(mos)}")
    centre, spread = float(np.median(labelled_score)), float(labelled_score.std())
    if spread == 0 or np.ptp(mos) == 0:
        raise ValueError("scores or labels are all equal")
    target: FloatArray = 100 * (mos - mos.min()) / np.ptp(mos)
    z: FloatArray = (labelled_score - centre) / spread
    rising = np.corrcoef(z, target)[0, 1] >= 0
    low, high = np.clip(np.quantile(target, [0.1, 0.9]), 1, 99)
    high = max(high, low + FLAT)

    def residual(p: FloatArray) -> FloatArray:
        return logistic4(z, *p) - target

    fit = least_squares(
        residual,
        x0=[high, low, 0.0, 1.0] if rising else [low, high, 0.0, 1.0],
        bounds=([0, 0, -10, 0.02], [100, 100, 10, 1000]),
        max_nfev=2000,
    )
    if not fit.success:
        raise ValueError(f"no convergence ({fit.message})")
    if np.ptp(logistic4(z, *fit.x)) < FLAT:
        raise ValueError("the fitted curve is flat: the metric does not follow the labels")
    return logistic4((score - centre) / spread, *fit.x)


def _rank_scale(scores: FloatArray, names: list[str], labelled: Labelled | None) -> FloatArray:
    return rank_scale(scores)


def _logistic_scales(scores: FloatArray, names: list[str], labelled: Labelled | None) -> FloatArray:
    if labelled is None:
        raise ValueError(
            "--scale logistic needs labels: expected a mos column with values in the table, or "
            "--labelled WIDE.csv; without labels use --scale rank"
        )
    columns, failures = [], []
    for j, name in enumerate(names):
        try:
            columns.append(logistic_scale(scores[:, j], labelled.scores[:, j], labelled.mos))
        except ValueError as err:
            failures.append(f"{name}: {err}")
    if failures:
        raise ValueError(
            "logistic fit failed for " + "; ".join(failures) + ". Leave these metrics out with "
            "--metric, or use --scale rank"
        )
    return np.stack(columns, axis=1)


SCALES: Mapping[str, Callable[[FloatArray, list[str], Labelled | None], FloatArray]] = {
    "rank": _rank_scale,
    "logistic": _logistic_scales,
}


def to_common_scale(
    scale: str, scores: FloatArray, names: list[str], labelled: Labelled | None = None
) -> FloatArray:
    """Bring ``(n, m)`` scores onto a common scale in [0, 100]: ``rank`` or ``logistic``."""
    if scale not in SCALES:
        raise ValueError(f"--scale: expected one of {', '.join(SCALES)}, got {scale!r}")
    return SCALES[scale](scores, names, labelled)
