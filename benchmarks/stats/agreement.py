"""Agreement of one metric with opinions on one set of images: all reported figures."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from benchmarks.stats.bootstrap import (
    FEWEST_IMAGES,
    Interval,
    interval,
    plcc_samples,
    srcc_samples,
)
from benchmarks.stats.correlations import krcc, paired, plcc, srcc
from benchmarks.stats.logistic import fit4, fit5


@dataclass(frozen=True)
class Agreement:
    """Agreement with opinions."""

    n: int
    # Spearman, with the 95% bootstrap interval ``srcc_low``..``srcc_high``; NaN for fewer than
    # `FEWEST_IMAGES` images
    srcc: float
    srcc_low: float
    srcc_high: float
    krcc: float  # Kendall's tau-b
    plcc: float  # Pearson on raw scores, with its interval
    plcc_low: float
    plcc_high: float
    plcc4: float  # Pearson after the four-parameter logistic; NaN unless ``plcc4_status`` is usable
    plcc4_status: str
    plcc5: float  # the same with five parameters
    plcc5_status: str
    rmse: float  # root mean squared error after the four-parameter logistic, in MOS units

    def as_dict(self) -> dict[str, float | str]:
        """The figures by name."""
        return asdict(self)


def agreement(
    pred: ArrayLike, mos: ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> Agreement:
    """Compute all figures of one metric, higher is better; NaN where one is undefined.

    ``resamples`` 0 leaves the bootstrap intervals out (NaN).
    """
    x, y = paired(pred, mos)
    four, five = fit4(x, y), fit5(x, y)
    s = p = Interval(float("nan"), float("nan"))
    if resamples > 0 and len(x) >= FEWEST_IMAGES:
        s = interval(srcc_samples([x], y, resamples=resamples, seed=seed)[:, 0])
        p = interval(plcc_samples(x, y, resamples=resamples, seed=seed))
    return Agreement(
        n=len(x),
        srcc=srcc(x, y),
        srcc_low=s.low,
        srcc_high=s.high,
        krcc=krcc(x, y),
        plcc=plcc(x, y),
        plcc_low=p.low,
        plcc_high=p.high,
        plcc4=four.plcc,
        plcc4_status=four.status,
        plcc5=five.plcc,
        plcc5_status=five.status,
        rmse=four.rmse,
    )


def agreements(
    joined: pd.DataFrame, *, common: bool = False, resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Compute the agreement of each metric, best SRCC first: ``metric`` and `Agreement`'s fields.

    ``common`` uses only the images that all metrics scored.
    """
    metrics: list[str] = joined.attrs["metrics"]
    part = joined.dropna(subset=metrics) if common else joined
    rows = []
    for metric in metrics:
        good = part[np.isfinite(part[metric])]
        figures = agreement(good[metric], good["mos"], resamples=resamples, seed=seed)
        rows.append({"metric": metric, **figures.as_dict()})
    return pd.DataFrame(rows).sort_values("srcc", ascending=False, ignore_index=True)
