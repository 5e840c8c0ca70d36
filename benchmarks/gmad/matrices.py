"""Aggressiveness, resistance and attack gap of metrics, and their global rankings.

Reference: Ma et al., "Group Maximum Differentiation Competition: Model Comparison with Few
Samples", TPAMI 42(4), 2020, section 3.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.stats.arrays import BoolArray, FloatArray, IntArray
from benchmarks.stats.thurstone import Ranking, thurstone

__all__ = [
    "Cells",
    "GlobalRanking",
    "aggressiveness",
    "mean_by_cell",
    "rank_matrix",
    "resample",
    "resistance",
]


class Cells(NamedTuple):
    """Cell (attacker, defender) of each of ``p`` pairs, and its weight in the cell.

    Attributes:
        attacker: ``(p,)`` number of the attacking metric.
        defender: ``(p,)`` number of the defending metric.
        weight: ``(p,)`` number of images in the bin, shared among the bin's pairs; within a cell
            only the proportions matter.
        metrics: Number of metrics.
    """

    attacker: IntArray
    defender: IntArray
    weight: FloatArray
    metrics: int

    def keep(self, chosen: BoolArray) -> "Cells":
        """The chosen pairs alone."""
        return Cells(
            self.attacker[chosen], self.defender[chosen], self.weight[chosen], self.metrics
        )


class GlobalRanking(NamedTuple):
    """Thurstone scores with their intervals.

    Attributes:
        score: ``(m,)`` scores.
        low: ``(m,)`` lower ends of the intervals.
        high: ``(m,)`` upper ends.
        finite: Whether the likelihood has a finite maximum.
        finite_share: Share of the bootstrap's matrices that have one.
    """

    score: FloatArray
    low: FloatArray
    high: FloatArray
    finite: bool
    finite_share: float


def mean_by_cell(cells: Cells, values: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Compute the weighted mean ``sum_k w_k v_k / sum_k w_k`` over the pairs ``k`` of each cell.

    Args:
        cells: The ``p`` pairs' cells and weights.
        values: ``(p,)`` finite values.
        counts: ``(b, p)`` how often each pair is drawn; once each when absent.

    Returns:
        ``(b, m, m)`` means (``b = 1`` without ``counts``); NaN where a cell holds no pair.
    """
    m = cells.metrics
    counts = np.ones((1, len(values))) if counts is None else counts
    total, mass = (np.zeros((len(counts), m * m)) for _ in range(2))
    cell = cells.attacker * m + cells.defender
    order = np.argsort(cell, kind="stable")
    present, starts = np.unique(cell[order], return_index=True)
    if len(present):
        # reduceat sums each run of equal cells: (b, p) -> (b, cells with a pair)
        weighted = (counts * cells.weight)[:, order]
        mass[:, present] = np.add.reduceat(weighted, starts, axis=1)
        total[:, present] = np.add.reduceat(weighted * values[order], starts, axis=1)
    mean = np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)
    return mean.reshape(-1, m, m)


def aggressiveness(
    cells: Cells, preference: FloatArray, counts: FloatArray | None = None
) -> FloatArray:
    """Compute how well each metric, as attacker, finds failures of each defender (section 3).

    Args:
        cells: The ``p`` pairs' cells and weights.
        preference: ``(p,)`` mean preference in -100..100 for the attacker's best image over its
            worst.
        counts: ``(b, p)`` how often each pair is drawn; once each when absent.

    Returns:
        ``(b, m, m)``: entry (i, j) is the weighted mean preference when i attacks j, at least 0;
        NaN where there is no pair.
    """
    return np.maximum(mean_by_cell(cells, preference, counts), 0.0)


def resistance(
    cells: Cells, preference: FloatArray, counts: FloatArray | None = None
) -> FloatArray:
    """Compute how well each metric, as defender, withstands each attacker (section 3).

    Args:
        cells: The ``p`` pairs' cells and weights.
        preference: ``(p,)`` mean preference in -100..100 for the attacker's best image over its
            worst.
        counts: ``(b, p)`` how often each pair is drawn; once each when absent.

    Returns:
        ``(b, m, m)``: entry (i, j) is the weighted mean of ``100 - |preference|`` when i is
        attacked by j; NaN where there is no pair.
    """
    mean = mean_by_cell(cells, 100.0 - np.abs(preference), counts)
    # A pair that spans the whole range of MOS has 100 - |preference| = -1.4e-14 by rounding.
    return np.maximum(mean, 0.0).transpose(0, 2, 1)


def resample(cells: Cells, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Draw the pairs of each cell anew, with replacement.

    Args:
        cells: The ``p`` pairs' cells.
        resamples: Number of bootstrap resamples.
        rng: Source of randomness.

    Returns:
        ``(resamples, p)`` how often each pair is drawn.
    """
    cell = cells.attacker * cells.metrics + cells.defender
    counts = np.zeros((resamples, len(cell)))
    for number in np.unique(cell):
        members = np.flatnonzero(cell == number)
        share = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(len(members), share, size=resamples)
    return counts


def rank_matrix(matrix: FloatArray, replicates: FloatArray, level: float = 0.95) -> GlobalRanking:
    """Compute Thurstone Case V scores of ``matrix`` ``(m, m)`` with percentile intervals.

    Args:
        matrix: Non-negative weights; NaN (no pair) counts as no comparison.
        replicates: ``(b, m, m)`` the same matrix on ``b`` bootstrap samples.
        level: Confidence level of the intervals.

    Returns:
        Scores in units of the standard deviation of one comparison, with sum 0.

    Raises:
        ValueError: The likelihood could not be maximised.
    """
    point = _solve(matrix[None])
    ensemble = _solve(replicates)
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = np.percentile(ensemble.scores, tails, axis=0)
    share = float(ensemble.maximum.mean())
    return GlobalRanking(point.scores[0], low, high, bool(point.maximum[0]), share)


def _solve(matrices: FloatArray) -> Ranking:
    ranking = thurstone(np.nan_to_num(matrices, nan=0.0))
    if not ranking.converged.all():
        failed = int((~ranking.converged).sum())
        raise ValueError(f"Thurstone's likelihood: {failed} of {len(matrices)} fits did not end")
    return ranking
