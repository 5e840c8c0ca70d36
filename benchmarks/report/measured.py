"""Panels that other commands measure: monotonicity.json and robustness.json in a results folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["MONOTONICITY", "ROBUSTNESS", "measured_panels", "robustness_panel"]

MONOTONICITY = "monotonicity.json"
ROBUSTNESS = "robustness.json"
CURVES = ("size", "low", "high", "worst")

Panel = dict[str, Any]


def measured_panels(results: Path) -> dict[str, Panel | None]:
    """Read both panels; None where one was not measured, ``reason`` alone where it is malformed."""
    return {
        "monotonicity": _read(results / MONOTONICITY, _monotonicity_panel),
        "robustness": _read(results / ROBUSTNESS, robustness_panel),
    }


def robustness_panel(panel: Panel) -> Panel:
    """Express every change of every metric in percent of its spread; reasons are kept.

    A metric whose spread is 0 has no percentage, so it has reasons alone.
    """
    metrics = [
        {
            **{key: m[key] for key in ("name", "spread")},
            "changes": [_change(c, float(m["spread"])) for c in m["changes"]],
        }
        for m in panel["metrics"]
    ]
    _require_same(metrics, "changes")
    return {"images": panel["images"], "metrics": metrics}


def _change(change: Panel, spread: float) -> Panel:
    head = {key: change[key] for key in ("name", "unit", "ticks")}
    if "reason" in change:
        return {**head, "reason": str(change["reason"])}
    if not spread:
        return {**head, "reason": "its spread is 0"}
    shares = {key: [100 * float(v) / spread for v in change[key]] for key in CURVES}
    _require_one_length([head["ticks"], *shares.values()])
    return {**head, **shares}


def _monotonicity_panel(panel: Panel) -> Panel:
    metrics = [
        {
            **{key: m[key] for key in ("name", "lower_is_better")},
            "ordered": float(m["ordered"]),
            "types": [_type_curve(one) for one in m["types"]],
        }
        for m in panel["metrics"]
    ]
    _require_same(metrics, "types")
    return {"images": panel["images"], "metrics": metrics}


def _type_curve(one: Panel) -> Panel:
    # None: a score was NaN
    curves = {
        key: [v if v is None else float(v) for v in one[key]] for key in ("mean", "low", "high")
    }
    _require_one_length([*curves.values()])
    return {"name": one["name"], "ordered": float(one["ordered"]), **curves}


def _require_one_length(curves: list[list[Any]]) -> None:
    if len({len(curve) for curve in curves}) != 1:
        raise ValueError("expected curves of one length")


def _require_same(metrics: list[Panel], part: str) -> None:
    """Refuse metrics that differ in their types or changes: the page's tables have them as rows."""
    if len({tuple(one["name"] for one in m[part]) for m in metrics}) != 1:
        raise ValueError(f"expected metrics that all have the same {part}")


def _read(path: Path, build: Callable[[Panel], Panel]) -> Panel | None:
    if not path.is_file():
        return None
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except KeyError as err:
        return {"reason": f"{path.name}: expected a key {err}; measure it again"}
    except (ValueError, TypeError, AttributeError, OSError) as err:
        return {"reason": f"{path.name}: {err}; measure it again"}
