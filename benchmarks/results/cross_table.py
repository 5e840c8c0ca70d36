"""The table that papers print: metrics x data sets, in Markdown, LaTeX or csv."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.formatting import markdown, number

__all__ = ["cross_latex", "cross_markdown", "cross_table"]

LOWER_IS_BETTER = ("rmse", "seconds_per_image")


def cross_table(
    summary: pd.DataFrame, values: Sequence[str] = ("srcc", "plcc"), split: str = "all"
) -> pd.DataFrame:
    """Arrange a summary as rows of metrics and columns of (data set, figure); NaN for none.

    ``split``: ``all``, an official split, ``official`` (test where there is one, else all), or
    ``random`` (medians over random splits). A data set that was not scored at its native size is
    named with the resolution.
    """
    unknown = [value for value in values if value not in summary]
    if unknown:
        raise ValueError(f"unknown figure(s) {', '.join(unknown)}; e.g. srcc, krcc, plcc, plcc4")
    rows = _of_split(summary, split)
    if rows.empty:
        known = ", ".join(dict.fromkeys(summary["split"].dropna()))
        raise ValueError(f"no results for split {split!r}; there are {known}")
    suffix = "_median" if split == "random" else ""
    rows = rows.assign(head=_heads(rows))
    table = rows.pivot_table(
        index="metric", columns="head", values=[v + suffix for v in values], sort=False,
        aggfunc="last", dropna=False,
    )  # fmt: skip
    heads = list(dict.fromkeys(rows["head"]))
    ordered = [(v + suffix, h) for h in heads for v in values if (v + suffix, h) in table.columns]
    table = table.reindex(columns=pd.MultiIndex.from_tuples(ordered))
    table.columns = pd.MultiIndex.from_tuples([(h, v.removesuffix("_median")) for v, h in ordered])
    return table


def _heads(rows: pd.DataFrame) -> list[str]:
    """Data set of each row, with its resolution where that is not the native one.

    A metric that could not be built has no resolution: its row stands under the first one that the
    data set has.
    """
    pairs = list(zip(rows["dataset"], rows["resolution"], strict=True))
    known = {d: r for d, r in reversed(pairs) if isinstance(r, str)}
    resolved = [(d, r if isinstance(r, str) else known.get(d, "native")) for d, r in pairs]
    return [d if r in ("native", "table") else f"{d} @{r}" for d, r in resolved]


def _of_split(summary: pd.DataFrame, split: str) -> pd.DataFrame:
    if split == "random":
        return summary[summary["n_splits"].notna()]
    fixed = summary[summary["n_splits"].isna()]
    if split != "official":
        return fixed[fixed["split"] == split]
    tested = set(fixed.loc[fixed["split"] == "test", "dataset"])
    wanted = ["test" if dataset in tested else "all" for dataset in fixed["dataset"]]
    return fixed[fixed["split"] == pd.Series(wanted, index=fixed.index)]


def cross_markdown(table: pd.DataFrame) -> str:
    """The table of :func:`cross_table` in Markdown, best figures bold."""
    columns = [(str(column[0]), str(column[1])) for column in table.columns.to_flat_index()]
    header = ["metric", *(f"{dataset}<br>{value.upper()}" for dataset, value in columns)]
    best = [_best_two(table[column])[0] for column in table.columns]
    rows = []
    for metric, line in table.iterrows():
        cells = [number(value) for value in line]
        cells = [f"**{c}**" if b == metric else c for c, b in zip(cells, best, strict=True)]
        rows.append([str(metric), *cells])
    return markdown(header, rows)


def cross_latex(table: pd.DataFrame) -> str:
    """The table of :func:`cross_table` in LaTeX (booktabs): best bold, second underlined."""
    renamed = table.rename(columns=str.upper, level=1)
    renamed = renamed.rename_axis(index=None).rename_axis(columns=["", "Metric"])
    styler = renamed.style.format(lambda value: number(value).replace("–", "--"))
    styler = styler.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    return styler.apply(_latex_marks).to_latex(
        hrules=True, multicol_align="c", column_format="l" + "c" * table.shape[1]
    )


def _latex_marks(column: pd.Series) -> list[str]:
    """The commands of each cell of a column, as pandas' Styler wants them."""
    best, second = _best_two(column)
    marks = {best: "textbf:--rwrap;", second: "underline:--rwrap;"}
    return [marks.get(metric, "") for metric in column.index]


def _best_two(column: pd.Series) -> tuple[Any, Any]:
    """Index labels of the best and the second-best entry of a column; None where there is none."""
    lower = isinstance(column.name, tuple) and str(column.name[-1]).lower() in LOWER_IS_BETTER
    ranked = column.dropna().sort_values(ascending=lower).index.tolist()
    first, second, *_ = [*ranked, None, None]
    return first, second
