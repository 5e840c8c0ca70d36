"""What the report draws of one data set's agreement with its labels."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.formatting import without_nan
from benchmarks.stats.arrays import FloatArray, IntArray
from benchmarks.stats.correlations import srcc
from benchmarks.stats.logistic import Fit, fit4, logistic4
from benchmarks.stats.significance import compare

__all__ = ["against_best", "agreement_panel", "json_numbers", "verdicts"]


WORST = 10
"""Over- and under-estimates shown."""
BINS = 31
"""Bins of the residuals' histogram."""
CURVE = 80
"""Points of the drawn logistic."""


def json_numbers(values: FloatArray, digits: int = 5) -> list[float | None]:
    """Numbers for JSON.

    Args:
        values: ``(n,)`` numbers.
        digits: Significant digits to keep.

    Returns:
        The rounded numbers, None where there is none.
    """
    rounded: list[float | None] = without_nan([float(f"{v:.{digits}g}") for v in values])
    return rounded


def agreement_panel(table: pd.DataFrame, metric: str, lower_is_better: bool) -> dict[str, Any]:
    """Scatter, fitted logistic, residuals and extremes of one metric on one dataset.

    Args:
        table: Columns ``mos`` and the metric's, both turned so that higher is better.
        metric: The column.
        lower_is_better: The metric's own direction; scores are shown as the metric gives them.

    Returns:
        ``scores`` (raw, null where missing), ``fit`` (status), ``curve`` (x, y), ``residuals``
        (edges, counts), ``over`` and ``under`` (image number, residual: predicted minus label).
    """
    sign = -1.0 if lower_is_better else 1.0
    score, mos = table[metric].to_numpy(float), table["mos"].to_numpy(float)
    known = np.flatnonzero(np.isfinite(score) & np.isfinite(mos))
    panel: dict[str, Any] = {
        "name": metric,
        "lower": lower_is_better,
        "n": len(known),
        "scores": json_numbers(sign * score),
        "srcc": srcc(score[known], mos[known]) if len(known) > 2 else None,
        "curve": None,
        "residuals": None,
        "over": [],
        "under": [],
    }
    fit = fit4(score[known], mos[known])
    panel["fit"] = fit.status
    return panel | _residuals(fit, known, score[known], mos[known], sign) if fit.usable else panel


def _residuals(
    fit: Fit, known: IntArray, score: FloatArray, mos: FloatArray, sign: float
) -> dict[str, Any]:
    x = np.linspace(score.min(), score.max(), CURVE)
    residual = fit.mapped - mos
    reach = float(np.abs(residual).max()) or 1.0
    counts, edges = np.histogram(residual, bins=BINS, range=(-reach, reach))
    order = np.argsort(residual, kind="stable")

    def rows(positions: IntArray) -> list[list[float]]:
        return [[int(known[i]), round(float(residual[i]), 4)] for i in positions]

    return {
        "curve": {"x": json_numbers(sign * x), "y": json_numbers(logistic4(x, *fit.parameters))},
        "residuals": {"edges": json_numbers(edges), "counts": counts.tolist()},
        "rmse": float(f"{fit.rmse:.4g}"),
        "over": rows(order[::-1][:WORST][residual[order[::-1][:WORST]] > 0]),
        "under": rows(order[:WORST][residual[order[:WORST]] < 0]),
    }


def against_best(
    table: pd.DataFrame, metrics: list[str], resamples: int, seed: int
) -> Mapping[str, str]:
    """Each metric against the best one on the images that all scored.

    Args:
        table: Columns ``mos`` and the metrics', higher is better.
        metrics: The columns; those without any score are left out.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Metric -> ``best``, ``p < .001`` and the like (Holm-corrected), or the reason why not.
    """
    usable = [m for m in metrics if table[m].notna().any()]
    if len(usable) < 2:
        return dict.fromkeys(usable, "no other metric")
    try:
        pairs = compare(table, usable, resamples=resamples, seed=seed)
    except ValueError as err:
        return dict.fromkeys(usable, str(err))
    return verdicts(pairs)


def verdicts(pairs: pd.DataFrame) -> dict[str, str]:
    """The verdicts of a table of pairs as `benchmarks.stats.significance.compare` gives it."""
    points = dict(zip(pairs["metric_a"], pairs["srcc_a"], strict=True))
    points |= dict(zip(pairs["metric_b"], pairs["srcc_b"], strict=True))
    ranked = {name: srcc for name, srcc in points.items() if math.isfinite(srcc)}
    found = dict.fromkeys(points.keys() - ranked.keys(), "no SRCC")
    if not ranked:
        return found
    best = max(ranked, key=lambda name: ranked[name])
    found[best] = "best"
    for row in pairs.to_dict("records"):
        if best in (row["metric_a"], row["metric_b"]):
            other = row["metric_b"] if row["metric_a"] == best else row["metric_a"]
            if other not in ranked:
                continue
            found[other] = _p(float(row["p_holm"])) + ("" if row["significant"] else ", n.s.")
    return found


def _p(value: float) -> str:
    return "p < .001" if value < 0.001 else f"p = {value:.3f}".replace("0.", ".")
