"""Numbers and Markdown tables."""

from benchmarks.formatting import markdown, number, with_interval


def test_numbers():
    shown = {0.8174: ".817", -0.0204: "-.020", 1.0: "1.000", 0.0: ".000", -1.0: "-1.000",
             12.3456: "12.346", float("nan"): "–"}  # fmt: skip
    for value, text in shown.items():
        assert number(value) == text
    assert number(None) == "–"
    assert number(0.99996) == "1.000"


def test_a_figure_without_interval_has_no_brackets():
    assert with_interval(0.8, 0.7, 0.9) == ".800 [.700, .900]"
    assert with_interval(0.8, float("nan"), None) == ".800"


def test_markdown_escapes():
    assert markdown(["a"], [["x|y\nz"]]).endswith("| x\\|y z |\n")
