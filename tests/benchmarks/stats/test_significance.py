"""Significant differences between metrics."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.results.tables import significance_markdown
from benchmarks.stats.significance import compare


@pytest.fixture
def wide():
    """Three metrics on 60 images, one of which the second did not score."""
    rng = np.random.default_rng(0)
    mos, noise = rng.uniform(1, 5, 60), rng.normal(size=60)
    fair = mos + noise
    fair[7] = np.nan
    return pd.DataFrame({"mos": mos, "good": mos + noise / 4, "fair": fair, "poor": noise})


def test_pairs_differences_and_holms_correction(wide):
    metrics = ["good", "fair", "poor"]
    pairs = compare(wide, metrics, resamples=500)
    assert len(pairs) == 3
    assert set(pairs["n"]) == {59}
    row = pairs[(pairs["metric_a"] == "good") & (pairs["metric_b"] == "poor")].iloc[0]
    assert row["difference"] == pytest.approx(row["srcc_a"] - row["srcc_b"])
    assert row["low"] < row["difference"] < row["high"]
    assert row["significant"]
    assert row["p"] == pytest.approx(2 / 501)
    order = np.sort(pairs["p"])
    by_hand = np.maximum.accumulate(np.minimum(1, order * [3, 2, 1]))
    np.testing.assert_allclose(np.sort(pairs["p_holm"]), by_hand)
    shown = significance_markdown(pairs).splitlines()
    assert shown[2].startswith("| good |")
    assert shown[2].count("*") >= 1
    pd.testing.assert_frame_equal(compare(wide, metrics, resamples=500), pairs)


def test_equal_metrics_do_not_differ():
    rng = np.random.default_rng(0)
    mos = rng.normal(size=200)
    a, b = mos + rng.normal(size=(2, 200))
    pairs = compare(pd.DataFrame({"mos": mos, "a": a, "b": b, "c": a}), ["a", "b", "c"])
    same = pairs[(pairs["metric_a"] == "a") & (pairs["metric_b"] == "c")].iloc[0]
    assert (same["difference"], same["p"], same["p_holm"]) == (0, 1, 1)
    assert not pairs["significant"].any()


def test_compare_needs_two_metrics_and_images():
    table = pd.DataFrame({"mos": [1.0, 2, 3], "a": [1.0, 2, 3], "b": [np.nan, 2, 3]})
    with pytest.raises(ValueError, match="at least two metrics"):
        compare(table, ["a"])
    with pytest.raises(ValueError, match=r"only 2 image\(s\)"):
        compare(table, ["a", "b"])
