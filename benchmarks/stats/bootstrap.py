"""Bootstrap over images: resampled SRCC and PLCC, intervals, paired differences.

``scipy.stats.bootstrap`` sorts every resample again; here nothing is sorted per resample, and the
result is the same, ties included. A resample is a vector of counts, and in sorted order the average
rank of a group of equal values is (images below it) + (its size + 1) / 2, both of which are
cumulative sums of the counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.stats import FloatArray, IntArray
from benchmarks.stats.correlations import paired

FEWEST_IMAGES = 20
"""Fewest images for which an interval, a p-value or a figure over random splits is given.

The standard error of a SRCC near 0 is 1 / sqrt(n - 1): .23 for 20 images. Of 2 or 4 images, most
resamples have the same SRCC, and the interval would be a point.
"""

_BLOCK = 100_000
"""Counts held at once: under 1 MB per array, so that a block stays in a core's cache."""


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval."""

    low: float
    high: float


def counts(n: int, resamples: int, seed: int) -> Iterator[IntArray]:
    """Draw how often each image occurs in each resample, in blocks ``(b, n)``.

    The stream depends on ``n`` and ``seed`` alone, so metrics on the same images share resamples.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(n, 1))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, n, (size, n), dtype=np.int64)
        drawn += np.arange(size, dtype=np.int64)[:, None] * n  # one bincount for all rows
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)


class Ranker:
    """Average ranks of one variable under any counts; sorts once, when it is made."""

    def __init__(self, values: ArrayLike) -> None:
        flat = np.asarray(values, dtype=np.float64)
        self.order = np.argsort(flat, kind="stable")
        ordered = flat[self.order]
        is_new = np.r_[True, ordered[1:] != ordered[:-1]]
        starts = np.flatnonzero(is_new)  # first place of each group of equal values
        self.starts = starts if len(starts) < len(flat) else None  # None: no ties
        self.group = np.empty(len(flat), dtype=np.int64)
        self.group[self.order] = np.cumsum(is_new) - 1

    def ranks(self, weights: IntArray) -> FloatArray:
        """Compute ranks less their mean (n + 1) / 2: (b, n) counts -> (b, n), original order."""
        n = weights.shape[1]
        sizes = weights[:, self.order]
        if self.starts is not None:
            sizes = np.add.reduceat(sizes, self.starts, axis=1)  # (b, groups)
        upto = np.cumsum(sizes, axis=1)
        # average rank (upto - sizes) + (sizes + 1) / 2, less (n + 1) / 2
        middle = upto - 0.5 * sizes - 0.5 * n
        ranks: FloatArray = np.take(middle, self.group, axis=1)
        return ranks


def srcc_samples(
    preds: list[FloatArray], mos: ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> FloatArray:
    """SRCC of several metrics on the same resamples: ``(resamples, len(preds))``.

    NaN where a variable is constant in a resample.
    """
    rankers = [Ranker(paired(pred, mos)[0]) for pred in preds]
    target = Ranker(mos)
    n = len(np.asarray(mos))
    blocks = []
    for weights in counts(n, resamples, seed):
        y = target.ranks(weights)
        wy = weights * y
        yy = np.einsum("bn,bn->b", wy, y)
        block = np.empty((len(weights), len(preds)))
        for column, ranker in enumerate(rankers):
            x = ranker.ranks(weights)
            xx = np.einsum("bn,bn,bn->b", weights, x, x)
            xy = np.einsum("bn,bn->b", wy, x)
            block[:, column] = _ratio(xy, xx, yy)
        blocks.append(block)
    return np.concatenate(blocks)


def plcc_samples(
    pred: ArrayLike, mos: ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> FloatArray:
    """Pearson's correlation on each resample; NaN where a variable is constant in it."""
    x, y = paired(pred, mos)
    x, y = _standard(x), _standard(y)  # so that the moments below do not cancel
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)
    n = len(x)
    parts = []
    for weights in counts(n, resamples, seed):
        mx, my, mxx, myy, mxy = (weights.astype(np.float64) @ moments / n).T
        parts.append(_ratio(mxy - mx * my, _variance(mx, mxx), _variance(my, myy)))
    return np.concatenate(parts)


def mean_samples(values: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> FloatArray:
    """Mean of every column on each resample of the rows: ``(resamples, k)``."""
    table = np.asarray(values, dtype=np.float64)
    blocks = counts(len(table), resamples, seed)
    return np.concatenate([weights @ table / len(table) for weights in blocks])


def interval(samples: FloatArray) -> Interval:
    """95% percentile interval of bootstrap samples; NaN (constant resamples) are left out."""
    good = samples[np.isfinite(samples)]
    if not len(good):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(good, [0.025, 0.975])
    return Interval(float(low), float(high))


def difference_p(samples: FloatArray) -> float:
    """Compute the two-sided bootstrap p-value of "no difference" from samples of a difference.

    It is twice the smaller tail; the observed data count as one more resample, so it is never 0
    (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.2). NaN where
    there is no sample.
    """
    good = samples[np.isfinite(samples)]
    if not len(good):
        return float("nan")
    tail = min(int((good <= 0).sum()), int((good >= 0).sum()))
    return min(1.0, 2.0 * (tail + 1) / (len(good) + 1))


def _ratio(xy: FloatArray, xx: FloatArray, yy: FloatArray) -> FloatArray:
    """Correlation from centred sums; NaN where one side is constant."""
    product = xx * yy
    nan = np.full_like(product, np.nan)
    ratio: FloatArray = np.divide(xy, np.sqrt(product), out=nan, where=product > 0)
    return ratio


def _variance(mean: FloatArray, square: FloatArray) -> FloatArray:
    """Variance from first and second moment; 0 where it is rounding alone, as for a constant."""
    variance = square - mean * mean
    variance[variance < 1e-12 * square] = 0.0
    return variance


def _standard(values: FloatArray) -> FloatArray:
    spread = float(values.std()) if len(values) else 0.0
    standard: FloatArray = (values - values.mean()) / (spread or 1.0)
    return standard
