"""Which differences between metrics are significant: paired bootstrap of SRCC, Holm's correction.

Reference: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
Statistics 6(2), 1979.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.stats.arrays import FloatArray
from benchmarks.stats.bootstrap import difference_p, interval, srcc_samples
from benchmarks.stats.correlations import srcc

PAIR_COLUMNS = (
    "metric_a", "metric_b", "n", "srcc_a", "srcc_b", "difference", "low", "high", "p", "p_holm",
    "significant",
)  # fmt: skip


def compare(
    scores: pd.DataFrame, metrics: list[str], *, resamples: int = 10_000, seed: int = 0,
    level: float = 0.05,
) -> pd.DataFrame:  # fmt: skip
    """All pairs of metrics on the images that all of them scored.

    Args:
        scores: Columns ``mos`` and one per metric, higher is better.
        metrics: Columns to compare, at least two.
        resamples: Bootstrap resamples, the same for every metric.
        seed: Seed of the bootstrap.
        level: Family-wise error rate.

    Returns:
        One row per pair, :data:`PAIR_COLUMNS`: ``difference`` is SRCC of a minus SRCC of b with its
        95% interval; ``p_holm`` is Holm's step-down correction over all pairs.

    Raises:
        ValueError: Fewer than two metrics or three common images.
        ImportError: statsmodels is absent.
    """
    if len(metrics) < 2:
        raise ValueError(f"a comparison needs at least two metrics, got {len(metrics)}")
    common = scores.dropna(subset=[*metrics, "mos"])
    if len(common) < 3:
        raise ValueError(f"only {len(common)} image(s) were scored by all of {', '.join(metrics)}")
    mos = common["mos"].to_numpy(float)
    values = {metric: common[metric].to_numpy(float) for metric in metrics}
    point = {metric: srcc(values[metric], mos) for metric in metrics}
    samples = srcc_samples(list(values.values()), mos, resamples=resamples, seed=seed)
    rows = []
    for (i, a), (j, b) in combinations(enumerate(metrics), 2):
        difference = samples[:, i] - samples[:, j]
        bounds = interval(difference)
        rows.append(
            (a, b, len(common), point[a], point[b], point[a] - point[b], bounds.low, bounds.high,
             difference_p(difference), np.nan, False)
        )  # fmt: skip
    pairs = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    pairs["p_holm"] = _holm(pairs["p"].to_numpy(float))
    pairs["significant"] = pairs["p_holm"] < level
    return pairs


def _holm(p: FloatArray) -> FloatArray:
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError as err:
        raise ImportError(
            "compare needs statsmodels: pip install 'qualiclip-metric[benchmarks]'"
        ) from err
    corrected: FloatArray = multipletests(p, method="holm")[1]
    return corrected
