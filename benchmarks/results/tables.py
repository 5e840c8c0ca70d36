"""Tables of results as Markdown and LaTeX. Knows rows of figures; computes none.

Every table names subsets as such and says at which resolution the scores were made.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.formatting import markdown, number


def summary_markdown(summary: pd.DataFrame) -> str:
    """The document ``summary.md``: figures, random splits, what failed, signatures."""
    fixed = summary[summary["n_splits"].isna() & summary["n"].gt(0)]
    out = ["# Summary\n", _fixed_table(fixed)]
    drawn = summary[summary["n_splits"].notna()]
    if len(drawn):
        header = ["dataset", "metric", "split", "n", "SRCC mean", "median", "std",
                  "PLCC mean", "median", "std"]  # fmt: skip
        names = ("srcc_mean", "srcc_median", "srcc_std", "plcc_mean", "plcc_median", "plcc_std")
        rows = [
            [
                r["dataset"],
                r["metric"],
                r["split"],
                str(int(r["n"])),
                *(number(r[n]) for n in names),
            ]
            for r in drawn.to_dict("records")
        ]
        out += ["## Random splits, grouped by reference (test parts)\n", markdown(header, rows, 3)]
    remarks = _remarks(summary)
    if remarks:
        out += ["## Remarks\n", "\n".join(f"- {remark}" for remark in remarks) + "\n"]
    signed = summary.dropna(subset=["signature"]).drop_duplicates(["metric", "signature"])
    lines = [f"- {r['metric']}: `{r['signature']}`" for r in signed.to_dict("records")]
    if lines:
        out += ["## Signatures\n", "\n".join(lines) + "\n"]
    return "\n".join(out)


def _fixed_table(rows: pd.DataFrame) -> str:
    header = ["dataset", "metric", "split", "n", "failed", "SRCC [95%]", "KRCC", "PLCC [95%]",
              "PLCC4", "PLCC5", "RMSE", "resolution", "s/image"]  # fmt: skip
    lines = []
    for r in rows.to_dict("records"):
        srcc = f"{number(r['srcc'])} [{number(r['srcc_low'])}, {number(r['srcc_high'])}]"
        plcc = f"{number(r['plcc'])} [{number(r['plcc_low'])}, {number(r['plcc_high'])}]"
        lines.append([
            r["dataset"], r["metric"], r["split"], str(int(r["n"])), str(int(r["n_failed"])), srcc,
            number(r["krcc"]), plcc, number(r["plcc4"]), number(r["plcc5"]),
            number(r["rmse"], 2), r["resolution"], number(r["seconds_per_image"]),
        ])  # fmt: skip
    return markdown(header, lines, 3)


def _remarks(summary: pd.DataFrame) -> list[str]:
    """What a reader has to know: metrics not built, images failed, fits that went wrong."""
    remarks = []
    for r in summary.to_dict("records"):
        place = f"{r['metric']} on {r['dataset']}"
        if r["status"] != "ok" and r["split"] == "all":
            remarks.append(f"{place}: {r['status']}")
        if r["split"] == "all" and r["n_failed"] > 0:
            remarks.append(f"{place}: {int(r['n_failed'])} image(s) failed and are left out")
    for name in ("plcc4", "plcc5"):
        odd = summary[summary[f"{name}_status"].notna() & summary[f"{name}_status"].ne("ok")]
        keys = ["metric", "dataset", f"{name}_status"]
        for (metric, dataset, status), rows in odd.groupby(keys, sort=False):
            splits = ", ".join(rows["split"])
            remarks.append(f"{metric} on {dataset}: {name.upper()} fit {status} ({splits})")
    return remarks


def cross(
    summary: pd.DataFrame, values: Sequence[str] = ("srcc", "plcc"), split: str = "all"
) -> pd.DataFrame:
    """The field's table: rows metrics, columns (dataset, value).

    Args:
        summary: Rows of ``summarise``.
        values: Figures to show.
        split: ``all``, an official split, ``official`` (test where there is one, else all), or
            ``random`` (medians over random splits).

    Raises:
        ValueError: No row has that split or a figure is unknown.
    """
    unknown = [value for value in values if value not in summary]
    if unknown:
        raise ValueError(f"unknown figure(s) {', '.join(unknown)}; e.g. srcc, krcc, plcc, plcc4")
    rows = _of_split(summary, split)
    if rows.empty:
        known = ", ".join(dict.fromkeys(summary["split"].dropna()))
        raise ValueError(f"no results for split {split!r}; there are {known}")
    suffix = "_median" if split == "random" else ""
    rows = rows.assign(
        head=[
            d if r in ("native", "table") or not isinstance(r, str) else f"{d} @{r}"
            for d, r in zip(rows["dataset"], rows["resolution"], strict=True)
        ]
    )
    table = rows.pivot_table(
        index="metric", columns="head", values=[v + suffix for v in values], sort=False,
        aggfunc="last", dropna=False,
    )  # fmt: skip
    heads = list(dict.fromkeys(rows["head"]))
    ordered = [(v + suffix, h) for h in heads for v in values if (v + suffix, h) in table.columns]
    table = table.reindex(columns=pd.MultiIndex.from_tuples(ordered))
    table.columns = pd.MultiIndex.from_tuples([(h, v.removesuffix("_median")) for v, h in ordered])
    return table


def _of_split(summary: pd.DataFrame, split: str) -> pd.DataFrame:
    if split == "random":
        return summary[summary["n_splits"].notna()]
    fixed = summary[summary["n_splits"].isna()]
    if split != "official":
        return fixed[fixed["split"] == split]
    tested = set(fixed.loc[fixed["split"] == "test", "dataset"])
    wanted = ["test" if dataset in tested else "all" for dataset in fixed["dataset"]]
    return fixed[fixed["split"] == pd.Series(wanted, index=fixed.index)]


_LOWER = ("rmse", "seconds_per_image")


def _marks(column: pd.Series) -> tuple[Any, Any]:
    """Index labels of the best and the second-best entry of a column."""
    lower = str(column.name[-1]) in _LOWER if isinstance(column.name, tuple) else False
    ranked = column.dropna().sort_values(ascending=lower).index.tolist()
    first, second, *_ = [*ranked, None, None]
    return first, second


def _heads(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The columns as (dataset, figure)."""
    return [(str(column[0]), str(column[1])) for column in table.columns.to_flat_index()]


def cross_markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, best figures bold."""
    header = ["metric", *(f"{dataset}<br>{value.upper()}" for dataset, value in _heads(table))]
    best = [_marks(table[column])[0] for column in table.columns]
    rows = []
    for metric, line in table.iterrows():
        cells = [number(value) for value in line]
        cells = [f"**{c}**" if b == metric else c for c, b in zip(cells, best, strict=True)]
        rows.append([str(metric), *cells])
    return markdown(header, rows)


def cross_latex(table: pd.DataFrame) -> str:
    r"""The table in LaTeX (booktabs): best bold, second underlined."""
    columns = _heads(table)
    heads = list(dict.fromkeys(dataset for dataset, _ in columns))
    widths = {head: sum(dataset == head for dataset, _ in columns) for head in heads}
    spans = " & ".join(rf"\multicolumn{{{widths[h]}}}{{c}}{{{_tex(h)}}}" for h in heads)
    values = " & ".join(value.upper() for _, value in columns)
    marks = [_marks(table[column]) for column in table.columns]
    body = []
    for metric, line in table.iterrows():
        cells = []
        for value, (first, second) in zip(line, marks, strict=True):
            text = number(value).replace("–", "--")
            text = rf"\textbf{{{text}}}" if metric == first else text
            cells.append(rf"\underline{{{text}}}" if metric == second else text)
        body.append(f"{_tex(str(metric))} & " + " & ".join(cells) + r" \\")
    return "\n".join([
        rf"\begin{{tabular}}{{l{'c' * table.shape[1]}}}", r"\toprule",
        rf" & {spans} \\", rf"Metric & {values} \\", r"\midrule", *body,
        r"\bottomrule", r"\end{tabular}", "",
    ])  # fmt: skip


def _tex(text: str) -> str:
    for mark in "&%$#_{}":
        text = text.replace(mark, "\\" + mark)
    return text


def significance_markdown(pairs: pd.DataFrame) -> str:
    """The pairs as a Markdown matrix: row minus column, ``*`` where significant."""
    metrics = list(dict.fromkeys([*pairs["metric_a"], *pairs["metric_b"]]))
    srccs = {
        **dict(zip(pairs["metric_a"], pairs["srcc_a"], strict=True)),
        **dict(zip(pairs["metric_b"], pairs["srcc_b"], strict=True)),
    }
    metrics.sort(key=lambda metric: -srccs[metric])
    cells = {}
    for r in pairs.to_dict("records"):
        star = "*" if r["significant"] else ""
        cells[r["metric_a"], r["metric_b"]] = number(r["difference"]) + star
        cells[r["metric_b"], r["metric_a"]] = number(-r["difference"]) + star
    rows = [
        [a, number(srccs[a]), *("" if a == b else cells[a, b] for b in metrics)] for a in metrics
    ]
    return markdown(["row − column", "SRCC", *metrics], rows)
