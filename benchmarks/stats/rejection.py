"""Error rates of a bar: the bad images that it catches, and the good ones that it loses."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.stats import FloatArray
from benchmarks.stats.bootstrap import Interval, counts, interval

PERCENTILES = (5.0, 10.0, 20.0, 30.0)
WORST, BETTER = 0.25, 0.5
"""Quantiles of MOS: up to the first an image is bad, above the second it is good."""


class Rate(NamedTuple):
    """A share of images with its bootstrap interval."""

    value: float
    bounds: Interval


class Rejection(NamedTuple):
    """Effect of a bar on a labelled set.

    Args:
        percentile: Of the set's scores; images below it are rejected.
        caught: Share of the worst quarter by MOS that is rejected. At most 4 times the percentile.
        lost: Share of the better half by MOS that is rejected.
    """

    percentile: float
    caught: Rate
    lost: Rate


def rejection(
    scores: ArrayLike,
    mos: ArrayLike,
    percentile: float,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Rejection:
    """Reject the images below a percentile of the scores, and compare with opinions.

    Args:
        scores: (n,), higher is better.
        mos: (n,), higher is better.
        percentile: In (0, 100).
        resamples: Bootstrap resamples of the images; the bar and the groups stay as they are.
        seed: Of the resamples.

    Raises:
        ValueError: If there are fewer than 4 images, or a value is not finite.
    """
    values, opinions = np.asarray(scores, float), np.asarray(mos, float)
    if len(values) < 4 or not np.isfinite([values, opinions]).all():
        raise ValueError(f"expected at least 4 finite scores and opinions, got {len(values)}")
    rejected = values < np.quantile(values, percentile / 100)
    worst = opinions <= np.quantile(opinions, WORST)
    better = opinions > np.quantile(opinions, BETTER)
    groups = np.stack([worst, worst & rejected, better, better & rejected], axis=1)  # (n, 4)
    blocks = [w @ groups for w in counts(len(values), resamples, seed)]
    drawn = np.concatenate([groups.sum(axis=0, keepdims=True), *blocks]).astype(float)
    caught, lost = (_share(drawn[:, k + 1], drawn[:, k]) for k in (0, 2))
    return Rejection(percentile, _rate(caught), _rate(lost))


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """NaN for a resample without any image of the group."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _rate(shares: FloatArray) -> Rate:
    """The first share is the set's own, the others are those of the resamples."""
    return Rate(float(shares[0]), interval(shares[1:]))
