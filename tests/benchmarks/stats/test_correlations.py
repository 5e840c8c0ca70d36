"""Correlations and the record of all figures: against scipy, by hand, and by property."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.agreement import agreement
from benchmarks.stats.correlations import krcc, plcc, rmse, srcc
from benchmarks.stats.logistic import fit4, fit5

QUICK = settings(max_examples=30, deadline=None)
small = st.integers(-20, 20).map(float)
pairs = st.lists(st.tuples(small, small), min_size=3, max_size=40)


def split(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(rows).T
    return x, y


def reference(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """scipy's own figures; NaN where it would warn about constants."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return np.nan, np.nan, np.nan
    return (
        stats.spearmanr(x, y).statistic,
        stats.kendalltau(x, y).statistic,
        stats.pearsonr(x, y).statistic,
    )


@QUICK
@given(pairs)
def test_against_scipy(rows: list[tuple[float, float]]) -> None:
    x, y = split(rows)
    found = srcc(x, y), krcc(x, y), plcc(x, y)
    np.testing.assert_allclose(found, reference(x, y), atol=1e-9)


@pytest.mark.parametrize("metric", [srcc, krcc, plcc])
def test_undefined_is_nan(metric) -> None:
    assert np.isnan(metric([1, 1, 1], [1, 2, 3]))
    assert np.isnan(metric([1, 2, 3], [2, 2, 2]))
    assert np.isnan(metric([1], [2]))
    assert np.isnan(metric([], []))


@pytest.mark.parametrize("metric", [srcc, krcc, plcc, rmse, fit4, fit5, agreement])
def test_wrong_input(metric) -> None:
    with pytest.raises(ValueError, match="predictions"):
        metric([1, np.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="opinions"):
        metric([1, 2, 3], [1, np.inf, np.nan])
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        metric([1, 2, 3], [1, 2])


def test_huge_and_tiny_scales() -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0])
    for scale in (1e-200, 1e200):
        assert plcc(x * scale, x[::-1]) == pytest.approx(plcc(x, x[::-1]))
    assert plcc(1e9 + x * 1e-3, x) == pytest.approx(1, abs=1e-6)


@QUICK
@given(pairs)
def test_monotone_transforms_leave_ranks_alone(rows) -> None:
    x, y = split(rows)
    for change in (lambda v: 3 * v + 7, np.exp, np.arctan, lambda v: v**3):
        np.testing.assert_allclose(srcc(change(x), y), srcc(x, y), atol=1e-12)
        np.testing.assert_allclose(krcc(change(x), y), krcc(x, y), atol=1e-12)


def test_agreement_record() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    y = x + rng.normal(size=100)
    found = agreement(x, y, resamples=500)
    assert found.n == 100
    assert found.srcc_low < found.srcc < found.srcc_high
    assert found.plcc_low < found.plcc < found.plcc_high
    assert found == agreement(x, y, resamples=500)
    without = agreement(x, y, resamples=0)
    assert np.isnan(without.srcc_low)
    assert without.srcc == found.srcc
    assert found.as_dict()["plcc5_status"] in ("ok", "not monotone")


def test_agreement_of_one_image() -> None:
    found = agreement([1.0], [2.0])
    assert found.n == 1
    assert np.isnan(found.srcc)
    assert np.isnan(found.srcc_low)
    assert found.plcc4_status.startswith("failed")
