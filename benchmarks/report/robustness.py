"""Robustness as the report draws it, from robustness.json."""

from typing import Any

__all__ = ["ROBUSTNESS", "robustness_panel"]

ROBUSTNESS = "robustness.json"
CURVES = ("size", "low", "high", "worst")


def robustness_panel(panel: dict[str, Any] | None) -> dict[str, Any] | None:
    """Express every change of every metric in percent of its spread; reasons are kept.

    A metric whose spread is 0 has no percentage, so it has reasons alone.
    """
    if panel is None:
        return None
    metrics = [{**m, "changes": [_shares(c, m["spread"]) for c in m["changes"]]} for m in
               panel["metrics"]]  # fmt: skip
    return {**panel, "metrics": metrics}


def _shares(change: dict[str, Any], spread: float) -> dict[str, Any]:
    head = {key: change[key] for key in ("name", "unit", "ticks")}
    if "reason" in change:
        return {**head, "reason": change["reason"]}
    if not spread:
        return {**head, "reason": "its spread is 0"}
    return {**head, **{key: [100 * value / spread for value in change[key]] for key in CURVES}}
