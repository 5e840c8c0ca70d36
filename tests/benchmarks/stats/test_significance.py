"""Pairwise comparisons of metrics."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.results.summary_markdown import significance_markdown
from benchmarks.stats.significance import COVERAGE, compare


@pytest.fixture
def wide():
    """Four metrics on 60 images: one lacks a score, one has half of them, one is constant."""
    rng = np.random.default_rng(0)
    mos, noise = rng.uniform(1, 5, 60), rng.normal(size=60)
    table = pd.DataFrame({"mos": mos, "good": mos + noise / 4, "fair": mos + noise, "poor": noise})
    table.loc[7, "fair"] = np.nan
    table["half"] = table["good"].where(table.index < 30)
    table["constant"] = 1.0
    return table


def test_each_pair_is_compared_on_the_images_that_both_scored(wide):
    pairs = compare(wide, ["good", "fair", "poor"], resamples=100).pairs
    assert pairs.set_index(["metric_a", "metric_b"])["n"].to_dict() == {
        ("good", "fair"): 59, ("good", "poor"): 60, ("fair", "poor"): 59
    }  # fmt: skip
    alone = compare(wide, ["good", "poor"], resamples=100).pairs
    both = pairs.query("metric_a == 'good' and metric_b == 'poor'").reset_index(drop=True)
    columns = ["n", "srcc_a", "srcc_b", "low", "high", "p"]
    pd.testing.assert_frame_equal(both[columns], alone[columns])


def test_a_metric_that_fails_often_or_is_constant_changes_no_other_pair(wide):
    without = compare(wide, ["good", "fair", "poor"], resamples=100)
    found = compare(wide, ["good", "half", "fair", "constant", "poor"], resamples=100)
    pd.testing.assert_frame_equal(found.pairs, without.pairs)  # p values after Holm included
    assert f"30 of 60 images, less than {COVERAGE:.0%}" in found.left_out["half"]
    assert "equal" in found.left_out["constant"]


def test_against_best_corrects_over_the_comparisons_that_it_shows(wide):
    metrics = ["poor", "good", "fair"]
    pairs = compare(wide, metrics, against_best=True, resamples=100).pairs
    assert pairs["metric_a"].tolist() == ["good", "good"]
    np.testing.assert_allclose(pairs["p_holm"].max(), max(pairs["p"].max(), 2 * pairs["p"].min()))


def test_the_matrix_shows_the_srcc_of_each_and_the_images_of_odd_pairs(wide):
    lines = significance_markdown(compare(wide, ["poor", "good", "fair"], resamples=500))
    head, _, first, *_ = lines.splitlines()
    assert head == "| row − column | SRCC | good | fair | poor |"
    assert first.startswith("| good |") and first.count("*") == 2 and "(60)" in first


def test_equal_metrics_do_not_differ():
    rng = np.random.default_rng(0)
    mos = rng.normal(size=200)
    a, b = mos + rng.normal(size=(2, 200))
    table = pd.DataFrame({"mos": mos, "a": a, "b": b, "c": a})
    pairs = compare(table, ["a", "b", "c"], resamples=500).pairs
    same = pairs[pairs["srcc_a"] == pairs["srcc_b"]].iloc[0]
    assert (same["difference"], same["p"], same["p_holm"]) == (0, 1, 1)
    assert not pairs["significant"].any()


def test_few_images_and_few_metrics_give_no_pair():
    table = pd.DataFrame({"mos": np.arange(19.0), "a": np.arange(19.0), "b": np.arange(19.0)})
    found = compare(table, ["a", "b"])
    assert found.pairs.empty and "at least 20" in found.left_out["a"]
    assert compare(table.assign(c=np.nan), ["c"]).left_out == {"c": "it scored no image"}
