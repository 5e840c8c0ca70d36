"""Global ranking from a matrix of paired comparisons: Thurstone's Case V by maximum likelihood.

Reference: Tsukida and Gupta, "How to Analyze Paired Comparison Data", UWEETR-2011-0004; used for
gMAD by Ma et al., TPAMI 42(4), 2020.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from benchmarks.stats import BoolArray, FloatArray

__all__ = ["Ranking", "has_maximum", "thurstone"]


PRIOR = 0.01
"""Precision of the Gaussian prior, relative to the mean weight, where no maximum is finite."""
TOLERANCE = 1e-9
"""Largest gradient, per unit of mean weight, at which the Newton search ends."""
STEPS = 200
LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


class Ranking(NamedTuple):
    """Scores of a batch of matrices."""

    # ``(b, m)``, each row of sum 0, in units of the standard deviation of a comparison
    scores: FloatArray
    # ``(b,)`` whether the likelihood has a finite maximum; where it has none, the scores are those
    # with a weak Gaussian prior
    maximum: BoolArray
    converged: BoolArray  # ``(b,)`` whether the solver met its tolerance


def has_maximum(wins: FloatArray) -> BoolArray:
    """Test whether each matrix of a ``(b, m, m)`` batch has a finite maximum of the likelihood.

    It has one exactly when no group of items is never beaten by the rest: when the graph of
    "i was preferred to j" is strongly connected (Ford, 1957).
    """
    m = wins.shape[-1]
    reach = (wins > 0) | np.eye(m, dtype=bool)  # (b, m, m), paths of at most one win
    for _ in range(max(1, int(np.ceil(np.log2(m))))):
        # squaring doubles the length of the paths: log2(m) times reach every path
        reach = np.matmul(reach.astype(np.float64), reach.astype(np.float64)) > 0
    return np.asarray(reach.all(axis=(-2, -1)))


def thurstone(wins: FloatArray) -> Ranking:
    """Maximise ``sum_ij wins_ij * log(Phi(mu_i - mu_j))`` subject to ``sum(mu) == 0``.

    ``wins[b, i, j]`` speaks for i over j; the diagonal is ignored.
    """
    if wins.ndim != 3 or wins.shape[1] != wins.shape[2] or wins.shape[1] < 2:
        raise ValueError(f"expected (b, m >= 2, m) weights, got shape {wins.shape}")
    m = wins.shape[1]
    weights = np.where(np.eye(m, dtype=bool), 0.0, wins)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("expected weights that are finite and at least 0")
    mean = weights.mean(axis=(1, 2), keepdims=True)
    weights = weights / np.where(mean > 0, mean, 1.0)
    maximum = has_maximum(weights)
    prior = np.where(maximum, 0.0, PRIOR)
    scores = np.zeros(weights.shape[:2])
    converged = np.zeros(len(weights), dtype=bool)
    for _ in range(STEPS):
        gradient, curvature = _derivatives(weights, scores, prior)
        converged = np.abs(gradient).max(axis=1) <= TOLERANCE
        if converged.all():
            break
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        step /= np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True))  # damped Newton
        scores = scores + np.where(converged[:, None], 0.0, step)
    return Ranking(scores - scores.mean(axis=1, keepdims=True), maximum, converged)


def _derivatives(
    weights: FloatArray, scores: FloatArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient ``(b, m)`` and negated Hessian ``(b, m, m)``, the latter made invertible.

    With ``d = mu_i - mu_j`` and ``r = phi(d) / Phi(d)``, a comparison of weight ``w`` adds ``w r``
    to the gradient at i, takes it off at j, and adds ``w r (d + r)`` to the curvature along d.
    """
    gaps = scores[:, :, None] - scores[:, None, :]
    ratio = np.exp(-0.5 * gaps**2 - LOG_SQRT_2PI - log_ndtr(gaps))  # phi / Phi
    slopes = weights * ratio
    gradient = slopes.sum(axis=2) - slopes.sum(axis=1) - prior[:, None] * scores
    curvatures = slopes * (gaps + ratio)
    curvatures = curvatures + curvatures.transpose(0, 2, 1)
    m = scores.shape[1]
    eye = np.eye(m)
    laplacian = curvatures.sum(axis=2)[:, :, None] * eye - curvatures
    # The likelihood is unchanged by a shift of all scores: fix it along the vector of ones.
    return gradient, laplacian + prior[:, None, None] * eye + 1.0 / m
