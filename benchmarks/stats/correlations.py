"""Agreement of predictions with opinions: SRCC, KRCC, PLCC. numpy and scipy only.

Knows two arrays; knows no dataset, metric or direction: turn both so that higher is better first.
The logistic mappings are in ``logistic.py``, intervals in ``bootstrap.py``.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from benchmarks.stats.arrays import FloatArray


def paired(pred: ArrayLike, mos: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both as float arrays of one length.

    Raises:
        ValueError: Shapes differ or are not flat, or a value is not finite.
    """
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
    """Pearson's linear correlation, on the scores as they are; NaN when undefined.

    Undefined: fewer than two images, or one side constant.
    """
    x, y = paired(pred, mos)
    if not _varies(x) or not _varies(y):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def srcc(pred: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation with average ranks for ties; NaN when undefined."""
    x, y = paired(pred, mos)
    return plcc(stats.rankdata(x), stats.rankdata(y))


def krcc(pred: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's tau-b (corrected for ties); NaN when undefined."""
    x, y = paired(pred, mos)
    if not _varies(x) or not _varies(y):
        return float("nan")
    return float(stats.kendalltau(x, y).statistic)


def rmse(mapped: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared error in MOS units; ``mapped`` must already be on the MOS scale."""
    x, y = paired(mapped, mos)
    return float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else float("nan")


def _varies(values: FloatArray) -> bool:
    return len(values) >= 2 and bool(values.min() < values.max())
