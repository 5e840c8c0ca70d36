"""The report's data -> one self-contained page.

Knows the template's needs. Must not know how a figure was computed.
"""

import math
from pathlib import Path
from typing import Any

from benchmarks.formatting import without_nan
from benchmarks.html import render

__all__ = ["report_page"]

TEMPLATES = Path(__file__).parent / "templates"
#: Columns of the summary whose best and second are marked, and whether more is better.
MARKED = {"srcc": True, "krcc": True, "plcc": True, "plcc4": True, "plcc5": True, "rmse": False}
#: Parts of a dataset that the page's script needs; the rest is written by the template.
DRAWN = (
    *("name", "label", "label_name", "images", "mos", "picture"),
    *("metrics", "gmad", "points", "leaders"),
)


def report_page(gathered: dict[str, Any], provenance: dict[str, Any], title: str) -> str:
    """The page.

    Args:
        gathered: From `report_data.gather`.
        provenance: ``made``, ``scored`` (dates) and ``facts``.
        title: Of the page.
    """
    datasets = gathered["datasets"]
    for dataset in datasets:
        dataset["marks"] = _marks(dataset["rows"])
        dataset["leaders"] = [row["metric"] for row in dataset["rows"] if _number(row["srcc"])]
        dataset["points"] = _points(dataset["rows"], gathered["speed"])
    data = without_nan(
        {
            "datasets": [{key: dataset[key] for key in DRAWN} for dataset in datasets],
            "pictures": gathered["pictures"],
            "monotonicity": gathered["monotonicity"],
            "robustness": gathered["robustness"],
        }
    )
    return render(
        TEMPLATES,
        "page.html.j2",
        title=title,
        data=data,
        datasets=datasets,
        several=len(datasets) > 1,
        monotonicity=gathered["monotonicity"],
        robustness=gathered["robustness"],
        speed=gathered["speed"],
        provenance=provenance,
    )


def _marks(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """For each row, its columns that are the best or the second among the rows."""
    marks: list[dict[str, str]] = [{} for _ in rows]
    for column, more in MARKED.items():
        values = [(row[column], i) for i, row in enumerate(rows) if _number(row.get(column))]
        values.sort(key=lambda pair: -pair[0] if more else pair[0])
        for mark, (_, i) in zip(
            ("best", "second"), values if len(values) > 1 else [], strict=False
        ):
            marks[i][column] = mark
    return marks


def _points(rows: list[dict[str, Any]], speed: Any) -> list[dict[str, Any]]:
    """Seconds per image against SRCC: measured by the speed command where it was, else as run."""
    measured = (speed or {}).get("seconds_per_image", {})
    points = [
        {
            "metric": row["metric"],
            "seconds": measured.get(row["metric"], row["seconds_per_image"]),
            **{key: row[key] for key in ("srcc", "srcc_low", "srcc_high")},
        }
        for row in rows
    ]
    return [p for p in points if _number(p["seconds"]) and p["seconds"] > 0 and _number(p["srcc"])]


def _number(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
