"""Correlations of scores with opinions: SRCC, KRCC, PLCC, and the RMSE; of both, higher is better.

scipy's functions warn or raise for constants; these give NaN.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from benchmarks.stats import FloatArray


def paired(pred: ArrayLike, mos: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Convert to float arrays ``(n,)``; ValueError unless finite and of one shape."""
    x, y = np.asarray(pred, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"expected two flat arrays of one length, got shapes {x.shape} and {y.shape}"
        )
    for name, values in (("predictions", x), ("opinions", y)):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise ValueError(
                f"{bad} of {len(values)} {name} are not finite; drop failed images first"
            )
    return x, y


def plcc(pred: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation on the scores as they are; NaN for one image or a constant side."""
    x, y = paired(pred, mos)
    if not _varies(x) or not _varies(y):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # squares of tiny or huge scores stay finite
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def srcc(pred: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation: :func:`plcc` of the ranks; ties share their average."""
    x, y = paired(pred, mos)
    return plcc(stats.rankdata(x), stats.rankdata(y))


def krcc(pred: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's tau-b: concordant less discordant pairs, corrected for ties."""
    x, y = paired(pred, mos)
    if not _varies(x) or not _varies(y):
        return float("nan")
    return float(stats.kendalltau(x, y).statistic)


def rmse(mapped: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared error in MOS units; NaN without images."""
    x, y = paired(mapped, mos)
    return float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else float("nan")


def _varies(values: FloatArray) -> bool:
    return len(values) >= 2 and bool(values.min() < values.max())
