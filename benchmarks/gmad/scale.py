"""Scores of many metrics onto one common 0..100 scale.

Knows score arrays and labels. Must not know files, pairs or images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from benchmarks.gmad.competition import rank_scale
from benchmarks.stats.logistic import logistic4

__all__ = ["SCALES", "Labelled", "logistic_scale", "to_common_scale"]

Floats = NDArray[np.float64]

#: A fit whose values lie within this many scale units says nothing.
FLAT = 1.0


@dataclass(frozen=True)
class Labelled:
    """Scores ``(k, m)`` of labelled images and their MOS ``(k,)``, higher is better."""

    scores: Floats
    mos: Floats


def logistic_scale(score: Floats, labelled_score: Floats, mos: Floats) -> Floats:
    """Map one metric through a monotone 4-parameter logistic fitted on labelled images.

    The labels are stretched linearly to 0..100, and both asymptotes are kept within 0..100, so the
    mapped scores are too. The slope may have either sign: a metric that falls with quality turns.

    Args:
        score: ``(n,)`` scores to map.
        labelled_score: ``(k,)`` scores of labelled images, ``k >= 5``.
        mos: ``(k,)`` their MOS, higher is better.

    Returns:
        ``(n,)`` values in [0, 100].

    Raises:
        ValueError: Where the fit fails, with the reason; nothing else is put in its place.
    """
    if len(mos) < 5:
        raise ValueError(f"needs at least 5 labelled images, got {len(mos)}")
    centre, spread = float(np.median(labelled_score)), float(labelled_score.std())
    if spread == 0 or np.ptp(mos) == 0:
        raise ValueError("scores or labels are all equal")
    target: Floats = 100 * (mos - mos.min()) / np.ptp(mos)
    z: Floats = (labelled_score - centre) / spread
    rising = np.corrcoef(z, target)[0, 1] >= 0
    low, high = np.clip(np.quantile(target, [0.1, 0.9]), 1, 99)
    high = max(high, low + FLAT)

    def residual(p: Floats) -> Floats:
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


def _ranks(scores: Floats, names: list[str], labelled: Labelled | None) -> Floats:
    return rank_scale(scores)


def _logistics(scores: Floats, names: list[str], labelled: Labelled | None) -> Floats:
    if labelled is None:
        raise ValueError(
            "--scale logistic needs labels: expected a mos column with values in the table, or "
            "--labelled WIDE.csv; without labels use --scale rank"
        )
    columns, failures = [], []
    for j, name in enumerate(names):
        try:
            columns.append(logistic_scale(scores[:, j], labelled.scores[:, j], labelled.mos))
        except ValueError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise ValueError(
            "logistic fit failed for " + "; ".join(failures) + ". Leave these metrics out with "
            "--metric, or use --scale rank"
        )
    return np.stack(columns, axis=1)


SCALES: Mapping[str, Callable[[Floats, list[str], Labelled | None], Floats]] = {
    "rank": _ranks,
    "logistic": _logistics,
}


def to_common_scale(
    scale: str, scores: Floats, names: list[str], labelled: Labelled | None = None
) -> Floats:
    """Scores ``(n, m)`` of the metrics ``names`` on the 0..100 scale called ``scale``.

    Raises:
        ValueError: For an unknown scale, missing labels, or a failed fit (naming the metrics).
    """
    if scale not in SCALES:
        raise ValueError(f"--scale: expected one of {', '.join(SCALES)}, got {scale!r}")
    return SCALES[scale](scores, names, labelled)
