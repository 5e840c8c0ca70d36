"""The bootstrap is exact, ties included."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.stats.bootstrap import counts, difference_p, interval, plcc_samples, srcc_samples
from benchmarks.stats.correlations import plcc, srcc

QUICK = settings(max_examples=30, deadline=None)
small = st.integers(-20, 20).map(float)
pairs = st.lists(st.tuples(small, small), min_size=3, max_size=40)


def split(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(rows).T
    return x, y


@QUICK
@given(pairs, st.integers(0, 1000))
def test_resampled_srcc_is_exact_with_ties(rows, seed: int) -> None:
    x, y = split(rows)
    weights = np.concatenate(list(counts(len(x), 8, seed)))
    found = srcc_samples([x], y, resamples=8, seed=seed)[:, 0]
    drawn = [np.repeat(np.arange(len(x)), w) for w in weights]
    expected = [srcc(x[rows], y[rows]) for rows in drawn]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@QUICK
@given(pairs, st.integers(0, 1000))
@example([(0.0, 8.0), (0.0, -12.0), (1.0, -12.0)], 0)  # constant resamples, but for rounding
def test_resampled_plcc_is_exact(rows, seed: int) -> None:
    x, y = split(rows)
    weights = np.concatenate(list(counts(len(x), 8, seed)))
    found = plcc_samples(x, y, resamples=8, seed=seed)
    drawn = [np.repeat(np.arange(len(x)), w) for w in weights]
    expected = [plcc(x[rows], y[rows]) for rows in drawn]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_counts_are_resamples() -> None:
    weights = np.concatenate(list(counts(50, 101, 0)))
    assert weights.shape == (101, 50)
    assert (weights.sum(axis=1) == 50).all()
    np.testing.assert_array_equal(weights, np.concatenate(list(counts(50, 101, 0))))
    assert (weights != np.concatenate(list(counts(50, 101, 1)))).any()


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.stats import bootstrap

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60))
    whole = srcc_samples([x, -x], y, resamples=40)
    monkeypatch.setattr(bootstrap, "_BLOCK", 7 * 60)
    np.testing.assert_array_equal(srcc_samples([x, -x], y, resamples=40), whole)
    np.testing.assert_allclose(whole[:, 1], -whole[:, 0], atol=1e-12)


def test_interval_covers() -> None:
    """Nominal 95% intervals hold the true correlation in about 95% of small samples."""
    rng = np.random.default_rng(3)
    rho, hits = 0.6, 0
    for _ in range(200):
        x = rng.normal(size=80)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=80)
        found = interval(plcc_samples(x, y, resamples=400))
        hits += found.low <= rho <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_difference_p() -> None:
    assert difference_p(np.ones(999)) == pytest.approx(0.002)
    assert difference_p(np.array([-1.0, 1.0] * 500)) == 1.0
    assert difference_p(np.array([np.nan, 1.0, 1.0, -1.0])) == pytest.approx(1.0)
