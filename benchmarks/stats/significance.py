"""Which differences between metrics are significant: paired bootstrap of SRCC, Holm's correction.

Reference: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
Statistics 6(2), 1979.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.stats import FloatArray
from benchmarks.stats.bootstrap import FEWEST_IMAGES, difference_p, interval, srcc_samples
from benchmarks.stats.correlations import srcc

COVERAGE = 0.9
"""A metric that scored less than this share of the images is compared with no other."""
PAIR_COLUMNS = (
    "metric_a", "metric_b", "n", "srcc_a", "srcc_b", "difference", "low", "high", "p", "p_holm",
    "significant",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Pairwise differences of SRCC."""

    srcc: dict[str, float]  # metric -> SRCC on all images that it scored, best first
    # one row per compared pair, :data:`PAIR_COLUMNS`: ``n`` images that both scored, and on these
    # each SRCC, ``difference`` (a minus b) with its 95% interval, the bootstrap's ``p`` and Holm's
    # ``p_holm``
    pairs: pd.DataFrame
    left_out: dict[str, str]  # metric -> reason why it is in no pair


def compare(
    scores: pd.DataFrame, metrics: list[str], *, against_best: bool = False,
    resamples: int = 10_000, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare metrics, each pair on the images that both scored; higher is better.

    ``against_best`` compares the metric of the highest SRCC with each other one, else all pairs.
    Holm's correction is over the pairs that are compared, at a family-wise error rate of 0.05.
    """
    rated = scores[scores["mos"].notna()]
    point, left_out = {}, {}
    for metric in metrics:
        scored = rated[rated[metric].notna()]
        if reason := _reason(len(scored), len(rated)):
            left_out[metric] = reason
            continue
        value = srcc(scored[metric], scored["mos"])
        if np.isfinite(value):
            point[metric] = value
        else:
            left_out[metric] = "no SRCC: its scores, or the labels, are all equal"
    point = dict(sorted(point.items(), key=lambda item: -item[1]))
    asked = [
        (a, b) for a, b in combinations(point, 2) if not against_best or a == next(iter(point))
    ]
    rows = list(_rows(rated, asked, resamples, seed))
    pairs = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    defined = np.isfinite(pairs["p"].to_numpy(float))  # NaN: constant on the common images
    pairs.loc[defined, "p_holm"] = _holm(pairs.loc[defined, "p"].to_numpy(float))
    pairs["significant"] = pairs["p_holm"] < 0.05
    return Comparison(point, pairs, left_out)


def _reason(scored: int, rated: int) -> str:
    """Reason why a metric with so many scores takes no part, else ""."""
    if not scored:
        return "it scored no image"
    if scored < COVERAGE * rated:
        return f"it scored {scored} of {rated} images, less than {COVERAGE:.0%}"
    if scored < FEWEST_IMAGES:
        return f"a comparison needs at least {FEWEST_IMAGES} images, it scored {scored}"
    return ""


def _rows(
    rated: pd.DataFrame, asked: list[tuple[str, str]], resamples: int, seed: int
) -> Iterator[tuple[object, ...]]:
    """One row per pair; pairs with the same common images share their resamples."""
    groups: dict[bytes, list[tuple[str, str]]] = {}
    for pair in asked:
        common = rated[list(pair)].notna().all(axis=1).to_numpy()
        groups.setdefault(common.tobytes(), []).append(pair)
    for mask, pairs in groups.items():
        images = rated[np.frombuffer(mask, dtype=bool)]
        mos = images["mos"].to_numpy(float)
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        values = {name: images[name].to_numpy(float) for name in names}
        samples = srcc_samples(list(values.values()), mos, resamples=resamples, seed=seed)
        column = dict(zip(names, samples.T, strict=True))  # name -> (resamples,)
        for a, b in pairs:
            srcc_a, srcc_b = srcc(values[a], mos), srcc(values[b], mos)
            difference = column[a] - column[b]
            bounds, p = interval(difference), difference_p(difference)
            yield (a, b, len(images), srcc_a, srcc_b, srcc_a - srcc_b, bounds.low, bounds.high,
                   p, np.nan, False)  # fmt: skip


def _holm(p: FloatArray) -> FloatArray:
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError as err:
        raise ImportError(
            "compare needs statsmodels: pip install 'qualiclip-metric[benchmarks]'"
        ) from err
    corrected: FloatArray = multipletests(p, method="holm")[1] if len(p) else p
    return corrected
