"""Agreement of metrics with the labels of one data set, as the report draws it."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.formatting import number, without_nan
from benchmarks.stats import FloatArray, IntArray
from benchmarks.stats.correlations import srcc
from benchmarks.stats.logistic import Fit, fit4, logistic4
from benchmarks.stats.significance import compare

__all__ = ["against_best", "agreement_panel", "json_numbers"]


WORST = 10
"""Over- and under-estimates shown."""
BINS = 31
"""Bins of the residuals' histogram."""
CURVE = 80
"""Points of the drawn logistic."""


def json_numbers(values: FloatArray, digits: int = 5) -> list[float | None]:
    """Round numbers to significant digits for JSON; None where there is none."""
    rounded: list[float | None] = without_nan([float(f"{v:.{digits}g}") for v in values])
    return rounded


def agreement_panel(table: pd.DataFrame, metric: str, lower_is_better: bool) -> dict[str, Any]:
    """Compute scatter, fitted logistic, residuals and extremes of one metric on one data set.

    ``table`` is turned so that higher is better; the scores are shown as the metric gives them.
    Residuals are predicted minus label: ``over`` and ``under`` list the largest.
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
) -> dict[str, str]:
    """Test each metric against the best one, on the images that both scored.

    Gives ``best``, ``p < .001`` and the like (Holm's correction over these comparisons, with the
    number of images where they are not all), or the reason why there is no p.
    """
    found = compare(table, metrics, against_best=True, resamples=resamples, seed=seed)
    if len(found.srcc) < 2:
        return found.left_out | dict.fromkeys(found.srcc, "no other metric")
    rated = int(table["mos"].notna().sum())
    verdicts = found.left_out | {next(iter(found.srcc)): "best"}
    for row in found.pairs.to_dict("records"):
        p = row["p_holm"]
        text = "p < .001" if p < 0.001 else f"p = {number(p)}"
        text += "" if row["significant"] else ", n.s."
        verdicts[row["metric_b"]] = text + (f" (n = {row['n']})" if row["n"] < rated else "")
    return verdicts
