"""The maximally differentiating pair of images for each attacker, defender and level.

Among the images ``S`` that the defender puts into the bin of one quality level, the attacker ``f``
selects ``x_best = argmax_S f(x)`` and ``x_worst = argmin_S f(x)``.

Reference: Ma et al., "Group MAD Competition: A New Methodology to Compare Objective Image Quality
Models", CVPR 2016; extended in TPAMI 42(4), 2020, section 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from benchmarks.stats import BoolArray, FloatArray, IntArray

__all__ = ["Design", "Pair", "level_centres", "rank_scale", "select_pairs"]

EDGE = 1e-9
"""Rounding allowed at a bin's ends, so that "ends included" holds for values such as 100 / 3."""


@dataclass(frozen=True)
class Design:
    """Settings of a competition; the defaults are those of the authors' toolbox."""

    levels: int = 6  # number of quality levels per ordered pair of metrics
    width: float = 9.0  # half width of a defender's bin, in units of the common 0..100 scale
    pairs: int = 1  # largest number of image pairs taken from one bin
    min_gap: float = 0.0  # smallest attacker's gap worth a pair, in scale units

    def __post_init__(self) -> None:
        """Refuse a setting that is not finite or below its smallest value."""
        for name, smallest in (("levels", 1), ("pairs", 1), ("width", 0), ("min_gap", 0)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= smallest):
                raise ValueError(f"{name}: expected a number of at least {smallest}, got {value}")


class Pair(NamedTuple):
    """Image pair of one bin."""

    attacker: int  # column of the attacking metric
    defender: int  # column of the defending metric
    level: int  # quality level of the defender, from 1
    centre: float  # middle of the level's bin, in scale units
    population: int  # number of images in the bin
    best: int  # row of the attacker's best image; -1 where the bin gives no pair
    worst: int  # row of the attacker's worst image; -1 where the bin gives no pair
    # the attacker's score of ``best`` less that of ``worst``, in scale units; NaN without a pair
    gap: float


def rank_scale(scores: FloatArray) -> FloatArray:
    """Compute the percentile scale of each column: ``100 * (average rank - 1) / (n - 1)``.

    Args:
        scores: ``(n, m)`` finite scores, ``n >= 2``, higher is better.

    Returns:
        ``(n, m)`` values in [0, 100]; tied scores share their average rank.

    Raises:
        ValueError: The array is not two-dimensional or has fewer than two rows.
    """
    if scores.ndim != 2 or len(scores) < 2:
        raise ValueError(f"expected (n >= 2, m) scores, got shape {scores.shape}")
    scaled = np.empty(scores.shape)
    for column, values in enumerate(scores.T):
        scaled[:, column] = 100 * (rankdata(values) - 1) / (len(values) - 1)
    return scaled


def level_centres(values: FloatArray, levels: int) -> FloatArray:
    """Compute the centres ``(levels,)`` of equal steps of the values' range, lowest first."""
    low, high = values.min(), values.max()
    centres: FloatArray = low + (np.arange(levels) + 0.5) * (high - low) / levels
    return centres


def select_pairs(
    scores: FloatArray, design: Design, contents: IntArray | None = None
) -> list[Pair]:
    """Select the pairs of every attacker, defender and level.

    Args:
        scores: ``(n, m)`` finite scores of ``m >= 2`` metrics on one scale, higher is better. Rows
            must stand in the order of the images' names: a tie goes to the first row.
        design: Levels, bin width, pairs per bin and smallest gap.
        contents: ``(n,)`` content number of each image. Given, no content appears twice among the
            pairs of one bin.

    Returns:
        Pairs ordered by attacker, defender and level. A bin that gives no pair (empty, one image,
        one content, or below the smallest gap) is one row with ``best == worst == -1``.

    Raises:
        ValueError: Where the scores are not a finite ``(n >= 2, m >= 2)`` array.
    """
    _check(scores, contents)
    m = scores.shape[1]
    columns = np.ascontiguousarray(scores.T)
    highest, lowest = _sorting_ranks(-columns), _sorting_ranks(columns)
    cells: dict[tuple[int, int], list[Pair]] = {}
    for defender in range(m):
        for level, centre in enumerate(level_centres(columns[defender], design.levels), start=1):
            inside = np.flatnonzero(np.abs(columns[defender] - centre) <= design.width + EDGE)
            groups = None if contents is None else contents[inside]
            for attacker in (a for a in range(m) if a != defender):
                found = _widest_pairs(
                    highest[attacker, inside],
                    lowest[attacker, inside],
                    columns[attacker, inside],
                    groups,
                    design.pairs,
                )
                rows = [
                    Pair(attacker, defender, level, float(centre), len(inside), *row)
                    for row in _with_gaps(found, columns[attacker], inside, design.min_gap)
                ]
                cells.setdefault((attacker, defender), []).extend(rows)
    return [pair for cell in sorted(cells) for pair in cells[cell]]


def _check(scores: FloatArray, contents: IntArray | None) -> None:
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError(
            "expected at least two images and two metrics as (images, metrics) scores, got shape "
            f"{scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores; leave out the images that a metric did not score")
    if contents is not None and contents.shape != scores.shape[:1]:
        raise ValueError(f"expected {len(scores)} content numbers, got shape {contents.shape}")


def _sorting_ranks(columns: FloatArray) -> IntArray:
    """Rank from 0 of each image when a row is sorted upwards; of ties the first comes first."""
    ranks = np.empty(columns.shape, dtype=np.int64)
    order = np.argsort(columns, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(columns.shape[1])[None, :], axis=1)
    return ranks


def _with_gaps(
    found: list[tuple[int, int]], values: FloatArray, inside: IntArray, min_gap: float
) -> Iterator[tuple[int, int, float]]:
    """Positions in the bin -> (best, worst, gap) of the pool; one blank where nothing is left."""
    rows = [(int(inside[best]), int(inside[worst])) for best, worst in found]
    gaps = [(best, worst, float(values[best] - values[worst])) for best, worst in rows]
    kept = [row for row in gaps if row[2] >= min_gap]
    yield from kept or [(-1, -1, float("nan"))]


def _widest_pairs(
    highest: IntArray, lowest: IntArray, values: FloatArray, groups: IntArray | None, k: int
) -> list[tuple[int, int]]:
    """Up to ``k`` (best, worst) positions inside one bin for one attacker."""
    population = len(values)
    if population < 2:
        return []
    if groups is not None:
        return _distinct_pairs(highest, lowest, values, groups, k)
    k = min(k, population // 2)
    if k == 1:
        return [(int(highest.argmin()), int(lowest.argmin()))]
    return list(zip(_smallest(highest, k), _smallest(lowest, k), strict=True))


def _smallest(ranks: IntArray, k: int) -> list[int]:
    """Positions of the ``k`` smallest ranks, smallest first."""
    positions = np.argpartition(ranks, k - 1)[:k]
    return [int(position) for position in positions[np.argsort(ranks[positions])]]


def _distinct_pairs(
    highest: IntArray, lowest: IntArray, values: FloatArray, groups: IntArray, k: int
) -> list[tuple[int, int]]:
    """Greedy: the widest pair of two contents, then again without these contents."""
    free = np.ones(len(values), dtype=bool)
    found: list[tuple[int, int]] = []
    while len(found) < k and len(np.unique(groups[free])) >= 2:
        best, worst = _first_usable(highest, free), _first_usable(lowest, free)
        if groups[best] == groups[worst]:
            others = free & (groups != groups[best])
            options = [
                (best, _first_usable(lowest, others)),
                (_first_usable(highest, others), worst),
            ]
            best, worst = max(options, key=lambda pair: values[pair[0]] - values[pair[1]])
        found.append((best, worst))
        free &= (groups != groups[best]) & (groups != groups[worst])
    return found


def _first_usable(ranks: IntArray, usable: BoolArray) -> int:
    """Position of the smallest rank among the usable ones; at least one is usable."""
    return int(np.where(usable, ranks, np.iinfo(ranks.dtype).max).argmin())
