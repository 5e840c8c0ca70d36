"""Figures of published predictions, which come without images."""

import numpy as np
import pandas as pd

from benchmarks.stats.agreement import agreement


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
