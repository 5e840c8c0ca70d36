"""The report's data as one self-contained page."""

from pathlib import Path
from typing import Any

from benchmarks.formatting import is_number, without_nan
from benchmarks.html import render

__all__ = ["report_page"]

TEMPLATES = Path(__file__).parent / "templates"
MARKED = {"srcc": True, "krcc": True, "plcc": True, "plcc4": True, "plcc5": True, "rmse": False}
"""Columns of the summary whose best and second are marked, and whether more is better."""
DRAWN = (
    *("name", "label", "label_name", "images", "mos", "picture"),
    *("metrics", "gmad", "points", "leaders"),
)
"""Parts of a data set that the page's script needs; the template writes the rest."""


def report_page(gathered: dict[str, Any], provenance: dict[str, Any], title: str) -> str:
    """Write the HTML page from what `benchmarks.report.data.gather` gave."""
    datasets = gathered["datasets"]
    measured = {name: gathered[name] for name in ("monotonicity", "robustness")}
    for dataset in datasets:
        dataset["marks"] = _marks(dataset["rows"])
        dataset["leaders"] = [row["metric"] for row in dataset["rows"] if is_number(row["srcc"])]
        dataset["points"] = _points(dataset["rows"])
    data = without_nan(
        {
            "datasets": [{key: dataset[key] for key in DRAWN} for dataset in datasets],
            "pictures": gathered["pictures"],
            **{
                name: None if panel is None or "reason" in panel else panel
                for name, panel in measured.items()
            },
        }
    )
    return render(
        TEMPLATES,
        "page.html.j2",
        title=title,
        data=data,
        datasets=datasets,
        several=len(datasets) > 1,
        **measured,
        provenance=provenance,
    )


def _marks(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """For each row, its columns that are the best or the second among the rows."""
    marks: list[dict[str, str]] = [{} for _ in rows]
    for column, more in MARKED.items():
        values = [(row[column], i) for i, row in enumerate(rows) if is_number(row.get(column))]
        values.sort(key=lambda pair: -pair[0] if more else pair[0])
        for mark, (_, i) in zip(
            ("best", "second"), values if len(values) > 1 else [], strict=False
        ):
            marks[i][column] = mark
    return marks


def _points(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seconds per image, as the scores were made, against SRCC."""
    points = [
        {
            "metric": row["metric"],
            "seconds": row["seconds_per_image"],
            **{key: row[key] for key in ("srcc", "srcc_low", "srcc_high")},
        }
        for row in rows
    ]
    return [
        p for p in points if is_number(p["seconds"]) and p["seconds"] > 0 and is_number(p["srcc"])
    ]
