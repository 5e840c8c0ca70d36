"""Write the summary and the comparisons as Markdown: figures, random splits, remarks."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.formatting import markdown, number, with_interval
from benchmarks.stats.significance import Comparison

__all__ = ["significance_markdown", "summary_markdown"]

RANDOM = ("srcc_mean", "srcc_median", "srcc_std", "plcc_mean", "plcc_median", "plcc_std")
FIGURES = ("dataset", "metric", "split", "n", "failed", "SRCC [95%]", "KRCC", "PLCC [95%]", "PLCC4",
           "PLCC5", "RMSE", "resolution", "s/image")  # fmt: skip


def summary_markdown(summary: pd.DataFrame, label_remarks: Sequence[str] = ()) -> str:
    """Write the document ``summary.md``."""
    fixed = summary[summary["n_splits"].isna()]
    out = ["# Summary\n", _figures_table(fixed[fixed["n"].gt(0) | fixed["split"].eq("all")])]
    drawn = summary[summary["srcc_mean"].notna()]
    if len(drawn):
        out += ["## Random splits, grouped by reference (test parts)\n", _random_table(drawn)]
    remarks = [*label_remarks, *_remarks(summary)]
    if remarks:
        out += ["## Remarks\n", "\n".join(f"- {remark}" for remark in remarks) + "\n"]
    signed = summary.dropna(subset=["signature"]).drop_duplicates(["metric", "signature"])
    lines = [f"- {r['metric']}: `{r['signature']}`" for r in signed.to_dict("records")]
    if lines:
        out += ["## Signatures\n", "\n".join(lines) + "\n"]
    return "\n".join(out)


def _figures_table(rows: pd.DataFrame) -> str:
    """One line per row; a metric without any score has its status in place of the figures."""
    lines = []
    for r in rows.to_dict("records"):
        failed = "" if pd.isna(r["n_failed"]) else str(int(r["n_failed"]))
        head = [r["dataset"], r["metric"], r["split"], str(int(r["n"])), failed]
        if not r["n"]:
            lines.append([*head, r["status"], *[""] * (len(FIGURES) - len(head) - 1)])
            continue
        lines.append([
            *head, _with_interval(r, "srcc"), number(r["krcc"]), _with_interval(r, "plcc"),
            number(r["plcc4"]), number(r["plcc5"]), number(r["rmse"], 2), r["resolution"],
            number(r["seconds_per_image"]),
        ])  # fmt: skip
    return markdown(FIGURES, lines, 3)


def _random_table(rows: pd.DataFrame) -> str:
    header = ["dataset", "metric", "split", "n", "SRCC mean", "median", "std",
              "PLCC mean", "median", "std"]  # fmt: skip
    lines = [
        [r["dataset"], r["metric"], r["split"], str(int(r["n"])), *(number(r[n]) for n in RANDOM)]
        for r in rows.to_dict("records")
    ]
    return markdown(header, lines, 3)


def _with_interval(row: Mapping[Hashable, Any], figure: str) -> str:
    return with_interval(row[figure], row[f"{figure}_low"], row[f"{figure}_high"])


def _remarks(summary: pd.DataFrame) -> list[str]:
    """List failed and unscored images, omitted splits, and fits whose status is not ok."""
    remarks = []
    for r in summary[summary["n"].gt(0)].to_dict("records"):
        place = f"{r['metric']} on {r['dataset']}"
        if r["split"] == "all":
            if r["status"] != "ok":
                remarks.append(f"{place}: {r['status']}")
            if r["n_failed"] > 0:
                remarks.append(f"{place}: {int(r['n_failed'])} image(s) failed and are left out")
        elif r["status"].startswith("left out"):
            remarks.append(f"{place}, {r['split']}: {r['status']}")
    scored = summary[summary["n"].gt(0)]
    for name in ("plcc4", "plcc5"):
        odd = scored[scored[f"{name}_status"].notna() & scored[f"{name}_status"].ne("ok")]
        keys = ["metric", "dataset", f"{name}_status"]
        for (metric, dataset, status), rows in odd.groupby(keys, sort=False):
            splits = ", ".join(rows["split"])
            remarks.append(f"{metric} on {dataset}: {name.upper()} fit {status} ({splits})")
    return remarks


def significance_markdown(comparison: Comparison) -> str:
    """Write differences of SRCC (row minus column) as a Markdown matrix, best SRCC first.

    ``*`` marks significance; the number of images is given where it is not that of most pairs.
    """
    metrics, pairs = list(comparison.srcc), comparison.pairs
    usual = pairs["n"].mode().iloc[0]
    cells = {}
    for r in pairs.to_dict("records"):
        remark = ("*" if r["significant"] else "") + (f" ({r['n']})" if r["n"] != usual else "")
        cells[r["metric_a"], r["metric_b"]] = number(r["difference"]) + remark
        cells[r["metric_b"], r["metric_a"]] = number(-r["difference"]) + remark
    rows = [
        [a, number(comparison.srcc[a]), *("" if a == b else cells[a, b] for b in metrics)]
        for a in metrics
    ]
    return markdown(["row − column", "SRCC", *metrics], rows)
