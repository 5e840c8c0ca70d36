"""Pairs and preferences -> aggressiveness, resistance, attack gap, and their global rankings.

Knows arrays of pairs. Must not know files, images or where a preference came from.

Reference: Ma et al., "Group Maximum Differentiation Competition: Model Comparison with Few
Samples", TPAMI 42(4), 2020, section 3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cells(NamedTuple):
    """Where each of ``p`` pairs belongs: its ordered cell and its weight there.

    ``weight`` ``(p,)`` is the bin's number of images, shared among the bin's pairs; within a cell
    only its share matters.
    """

    attacker: Ints
    defender: Ints
    weight: Floats
    metrics: int

    def keep(self, chosen: NDArray[np.bool_]) -> "Cells":
        """The chosen pairs alone."""
        return Cells(
            self.attacker[chosen], self.defender[chosen], self.weight[chosen], self.metrics
        )


class GlobalRanking(NamedTuple):
    """Thurstone scores ``(m,)`` with interval ends, and how the bootstrap went.

    ``finite`` says whether the likelihood has a finite maximum; ``finite_share`` is the share of
    the bootstrap's matrices that have one.
    """

    score: Floats
    low: Floats
    high: Floats
    finite: bool
    finite_share: float


def mean_by_cell(cells: Cells, values: Floats, counts: Floats | None = None) -> Floats:
    """Weighted mean of ``values`` in each cell (attacker, defender).

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
        weighted = (counts * cells.weight)[:, order]
        mass[:, present] = np.add.reduceat(weighted, starts, axis=1)
        total[:, present] = np.add.reduceat(weighted * values[order], starts, axis=1)
    mean = np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)
    return mean.reshape(-1, m, m)


def aggressiveness(cells: Cells, preference: Floats, counts: Floats | None = None) -> Floats:
    """``(b, m, m)``: entry (i, j) is how well i, attacking j, finds j's failures.

    The mean preference, -100..100 for the attacker's best image over its worst, with negative
    means set to 0. Arguments as in :func:`mean_by_cell`.
    """
    return np.maximum(mean_by_cell(cells, preference, counts), 0.0)


def resistance(cells: Cells, preference: Floats, counts: Floats | None = None) -> Floats:
    """``(b, m, m)``: entry (i, j) is how well i, attacked by j, keeps alike images alike.

    The mean of 100 less the absolute preference. Arguments as in :func:`mean_by_cell`.
    """
    return mean_by_cell(cells, 100.0 - np.abs(preference), counts).transpose(0, 2, 1)


def resample(cells: Cells, resamples: int, rng: np.random.Generator) -> Floats:
    """``(resamples, p)`` bootstrap counts: the pairs of each cell, drawn anew with replacement."""
    cell = cells.attacker * cells.metrics + cells.defender
    counts = np.zeros((resamples, len(cell)))
    for number in np.unique(cell):
        members = np.flatnonzero(cell == number)
        share = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(len(members), share, size=resamples)
    return counts


def rank_matrix(matrix: Floats, replicates: Floats, level: float = 0.95) -> GlobalRanking:
    """Thurstone Case V scores of ``matrix`` ``(m, m)`` with percentile intervals.

    Args:
        matrix: Non-negative weights; NaN (no pair) counts as no comparison.
        replicates: ``(b, m, m)`` the same matrix on ``b`` bootstrap samples.
        level: Confidence level of the intervals.
    """
    point = _solve(matrix[None])
    ensemble = _solve(replicates)
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = np.percentile(ensemble.scores, tails, axis=0)
    share = float(ensemble.maximum.mean())
    return GlobalRanking(point.scores[0], low, high, bool(point.maximum[0]), share)


def _solve(matrices: Floats) -> Ranking:
    ranking = thurstone(np.nan_to_num(matrices, nan=0.0))
    if not ranking.converged.all():
        failed = int((~ranking.converged).sum())
        raise ValueError(f"Thurstone's likelihood: {failed} of {len(matrices)} fits did not end")
    return ranking
