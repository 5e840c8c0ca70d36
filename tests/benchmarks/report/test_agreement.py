"""Scatter, fit, residuals and verdicts of one data set."""

import numpy as np
import pandas as pd

from benchmarks.report.agreement import against_best, agreement_panel, json_numbers


def test_agreement_panel_shows_raw_scores_and_both_extremes():
    rng = np.random.default_rng(0)
    mos = rng.uniform(0, 10, 80)
    table = pd.DataFrame({"mos": mos, "m": mos + rng.normal(0, 0.2, 80)})
    table.loc[7, "m"] = 10.0
    table.loc[7, "mos"] = 1.0
    table.loc[9, "m"] = np.nan
    for lower in (False, True):
        panel = agreement_panel(table, "m", lower)
        assert panel["n"] == 79
        assert panel["scores"][9] is None
        assert panel["scores"][7] == (-10 if lower else 10)
        assert panel["over"][0][0] == 7 and panel["over"][0][1] > 5
        assert all(residual < 0 for _, residual in panel["under"])
        assert sum(panel["residuals"]["counts"]) == 79


def test_a_failed_fit_leaves_no_curve_and_says_why():
    table = pd.DataFrame({"mos": np.arange(20.0), "m": 1.0})
    panel = agreement_panel(table, "m", False)
    assert panel["fit"].startswith("failed: constant")
    assert (panel["curve"], panel["over"]) == (None, [])


def test_verdicts_tell_significant_from_not():
    rng = np.random.default_rng(1)
    mos = rng.normal(size=200)
    table = pd.DataFrame({"mos": mos, "a": mos + rng.normal(0, 0.3, 200)})
    table["b"] = table["a"] + rng.normal(0, 0.01, 200)
    table["c"] = rng.normal(size=200)
    verdicts = against_best(table, ["a", "b", "c"], 500, 0)
    assert sorted(verdicts.values())[0] == "best"
    assert "n.s." in verdicts["a"] + verdicts["b"]
    assert "n.s." not in verdicts["c"]
    assert against_best(table, ["a"], 100, 0) == {"a": "no other metric"}


def test_a_metric_of_one_score_for_all_is_neither_best_nor_as_good():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"constant": np.ones(40), "mos": rng.normal(size=40)})
    table["a"], table["b"] = table["mos"] + 0.1, rng.normal(size=40)
    verdicts = against_best(table, ["constant", "a", "b"], 100, 0)
    assert "no SRCC" in verdicts["constant"] and verdicts["a"] == "best"
    table["a"] = table["b"] = 2.0
    verdicts = against_best(table, ["constant", "a", "b"], 100, 0)
    assert all("no SRCC" in text for text in verdicts.values())


def test_a_verdict_on_fewer_images_says_so():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"mos": rng.normal(size=60)})
    table["a"], table["b"] = table["mos"], rng.normal(size=60)
    table.loc[:4, "b"] = np.nan
    assert against_best(table, ["a", "b"], 100, 0)["b"].endswith("(n = 55)")


def test_plain_numbers_are_json():
    assert json_numbers(np.array([1.234567, np.nan, np.inf])) == [1.2346, None, None]
