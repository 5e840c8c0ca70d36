"""Aggressiveness, resistance and attack gap of metrics, and their global rankings.

Reference: Ma et al., "Group Maximum Differentiation Competition: Model Comparison with Few
Samples", TPAMI 42(4), 2020, section 3.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.stats import BoolArray, FloatArray, IntArray
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
    """Cell (attacker, defender) of each of ``p`` pairs, and its weight in the cell."""

    attacker: IntArray  # ``(p,)`` number of the attacking metric
    defender: IntArray  # ``(p,)`` number of the defending metric
    # ``(p,)`` number of images in the bin, shared among the bin's pairs; within a cell only the
    # proportions matter
    weight: FloatArray
    metrics: int

    def keep(self, chosen: BoolArray) -> "Cells":
        """The chosen pairs alone."""
        return Cells(
            self.attacker[chosen], self.defender[chosen], self.weight[chosen], self.metrics
        )


class GlobalRanking(NamedTuple):
    """Thurstone scores with their intervals."""

    score: FloatArray  # ``(m,)`` scores
    low: FloatArray  # ``(m,)`` lower ends of the intervals
    high: FloatArray  # ``(m,)`` upper ends
    finite: bool  # whether the likelihood has a finite maximum
    finite_share: float  # share of the bootstrap's matrices that have one


def mean_by_cell(cells: Cells, values: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Compute the weighted mean ``sum_k w_k v_k / sum_k w_k`` over the pairs ``k`` of each cell.

    ``counts`` ``(b, p)`` says how often each pair is drawn (default: once each, ``b = 1``). Gives
    ``(b, m, m)``; NaN where a cell holds no pair.
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

    Entry (i, j) of ``(b, m, m)`` is the weighted mean preference (-100..100, for the attacker's
    best image over its worst) when i attacks j, at least 0; NaN where there is no pair.
    """
    return np.maximum(mean_by_cell(cells, preference, counts), 0.0)


def resistance(
    cells: Cells, preference: FloatArray, counts: FloatArray | None = None
) -> FloatArray:
    """Compute how well each metric, as defender, withstands each attacker (section 3).

    Entry (i, j) of ``(b, m, m)`` is the weighted mean of ``100 - |preference|`` when i is attacked
    by j; NaN where there is no pair.
    """
    mean = mean_by_cell(cells, 100.0 - np.abs(preference), counts)
    # A pair that spans the whole range of MOS has 100 - |preference| = -1.4e-14 by rounding.
    return np.maximum(mean, 0.0).transpose(0, 2, 1)


def resample(cells: Cells, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Draw the pairs of each cell anew, with replacement: ``(resamples, p)`` counts."""
    cell = cells.attacker * cells.metrics + cells.defender
    counts = np.zeros((resamples, len(cell)))
    for number in np.unique(cell):
        members = np.flatnonzero(cell == number)
        share = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(len(members), share, size=resamples)
    return counts


def rank_matrix(matrix: FloatArray, replicates: FloatArray) -> GlobalRanking:
    """Compute Thurstone Case V scores of ``matrix`` ``(m, m)`` with 95% percentile intervals.

    ``replicates`` are the matrices of ``b`` bootstrap samples. NaN counts as no comparison. Scores
    are in units of the standard deviation of one comparison, with sum 0.
    """
    point = _solve(matrix[None])
    ensemble = _solve(replicates)
    low, high = np.percentile(ensemble.scores, [2.5, 97.5], axis=0)
    share = float(ensemble.maximum.mean())
    return GlobalRanking(point.scores[0], low, high, bool(point.maximum[0]), share)


def _solve(matrices: FloatArray) -> Ranking:
    ranking = thurstone(np.nan_to_num(matrices, nan=0.0))
    if not ranking.converged.all():
        failed = int((~ranking.converged).sum())
        raise ValueError(f"Thurstone's likelihood: {failed} of {len(matrices)} fits did not end")
    return ranking
