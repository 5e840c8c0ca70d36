"""The cross-dataset table in Markdown and LaTeX."""

import pytest

from benchmarks.results.cross_table import cross_latex, cross_markdown, cross_table


def test_cross_table(summary, one):
    table = cross_table(summary)
    head = "part (subset, 120 of 200)"
    assert list(table.columns) == [(head, "srcc"), (head, "plcc")]
    assert table.loc["table:good.csv", (head, "srcc")] == one("good", "all")["srcc"]
    text = cross_markdown(table)
    assert text.count("**") == 4
    assert f"| {head}<br>SRCC |" in text
    best = next(line for line in text.splitlines() if "table:good.csv" in line)
    assert best.count("**") == 4
    latex = cross_latex(table)
    assert rf"\multicolumn{{2}}{{c}}{{{head}}}" in latex
    assert latex.count(r"\textbf") == 2
    assert latex.count(r"\underline") == 2
    assert latex.count(r"\\") == 2 + 4
    median = cross_table(summary, ["srcc"], "random")
    expected = one("good", "random 4x")["srcc_median"]
    assert median.loc["table:good.csv", (head, "srcc")] == expected
    official = cross_table(summary, ["srcc"], "official")
    expected = one("good", "test")["srcc"]
    assert official.loc["table:good.csv", (head, "srcc")] == expected
    with pytest.raises(ValueError, match="unknown figure"):
        cross_table(summary, ["nope"])
    with pytest.raises(ValueError, match="nope"):
        cross_table(summary, split="nope")


def test_a_metric_that_could_not_be_built_adds_no_column(summary):
    """Its row has no resolution; the others were scored at a customary one."""
    scored = summary["n"].gt(0)
    resized = summary.assign(resolution=summary["resolution"].where(~scored, "short-side-448"))
    table = cross_table(resized)
    assert [head for head, _ in table.columns] == ["part (subset, 120 of 200) @short-side-448"] * 2
    assert table.loc["pyiqa:musiq"].isna().all()


def test_latex_escapes(summary):
    odd = summary.assign(metric=summary["metric"].str.replace("good", "a_b%"))
    assert r"table:a\_b\%.csv" in cross_latex(cross_table(odd))
