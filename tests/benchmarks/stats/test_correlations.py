"""Correlations, logistic fits and the bootstrap: against scipy, by hand, and by property."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.agreement import agreement
from benchmarks.stats.bootstrap import (
    counts,
    difference_p,
    interval,
    plcc_samples,
    srcc_samples,
)
from benchmarks.stats.correlations import krcc, plcc, rmse, srcc
from benchmarks.stats.logistic import fit4, fit5, logistic4, logistic5

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


def test_by_hand() -> None:
    assert srcc([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)  # 1 - 6*2 / (4*15)
    assert krcc([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 6)  # 5 agree, 1 not
    assert plcc([0, 1, 2], [0, 1, 5]) == pytest.approx(5 / np.sqrt(28))
    assert srcc([1, 1, 2, 2], [1, 2, 3, 4]) == pytest.approx(2 / np.sqrt(5))  # ranks 1.5 3.5
    assert rmse([1, 2, 3], [1, 2, 6]) == pytest.approx(np.sqrt(3))


def test_two_images() -> None:
    for metric in (srcc, krcc, plcc):
        assert metric([1, 2], [3, 5]) == pytest.approx(1)
        assert metric([2, 1], [3, 5]) == pytest.approx(-1)


@pytest.mark.parametrize("metric", [srcc, krcc, plcc])
def test_undefined_is_nan(metric) -> None:
    assert np.isnan(metric([1, 1, 1], [1, 2, 3]))
    assert np.isnan(metric([1, 2, 3], [2, 2, 2]))
    assert np.isnan(metric([1], [2]))
    assert np.isnan(metric([], []))


@pytest.mark.parametrize("metric", [srcc, krcc, plcc, rmse, fit4, fit5, agreement])
def test_wrong_input(metric) -> None:
    with pytest.raises(ValueError, match=r"1 of 3 predictions are not finite"):
        metric([1, np.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match=r"2 of 3 opinions are not finite"):
        metric([1, 2, 3], [1, np.inf, np.nan])
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        metric([1, 2, 3], [1, 2])


def test_huge_and_tiny_scales() -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0])
    for scale in (1e-200, 1e200):
        assert plcc(x * scale, x[::-1]) == pytest.approx(plcc(x, x[::-1]))
    assert plcc(1e9 + x * 1e-3, x) == pytest.approx(1, abs=1e-6)


@QUICK
@given(pairs, st.randoms(use_true_random=False))
def test_permuting_rows_changes_nothing(rows, random) -> None:
    x, y = split(rows)
    order = list(range(len(x)))
    random.shuffle(order)
    for metric in (srcc, krcc, plcc):
        np.testing.assert_allclose(metric(x[order], y[order]), metric(x, y), atol=1e-12)


@QUICK
@given(pairs)
def test_monotone_transforms_leave_ranks_alone(rows) -> None:
    x, y = split(rows)
    for change in (lambda v: 3 * v + 7, np.exp, np.arctan, lambda v: v**3):
        np.testing.assert_allclose(srcc(change(x), y), srcc(x, y), atol=1e-12)
        np.testing.assert_allclose(krcc(change(x), y), krcc(x, y), atol=1e-12)


@QUICK
@given(pairs)
def test_reversed_scale_turns_the_sign(rows) -> None:
    x, y = split(rows)
    for metric in (srcc, krcc, plcc):
        np.testing.assert_allclose(metric(-x, y), -metric(x, y), atol=1e-12)


# logistic fits


def test_fit4_recovers_parameters() -> None:
    x = np.linspace(-50, 150, 300)
    fit = fit4(x, logistic4(x, 90.0, 15.0, 40.0, 22.0))
    assert fit.status == "ok"
    np.testing.assert_allclose(fit.parameters, [90, 15, 40, 22], rtol=1e-4)
    assert fit.plcc == pytest.approx(1)
    assert fit.rmse < 1e-5


def test_fit5_recovers_the_curve() -> None:
    x = np.linspace(0, 10, 300)
    y = logistic5(x, 30.0, 1.5, 4.0, 2.0, 20.0)
    fit = fit5(x, y)
    assert fit.status == "ok"
    np.testing.assert_allclose(fit.mapped, y, atol=1e-4)
    np.testing.assert_allclose(logistic5(x, *fit.parameters), y, atol=1e-4)


def test_fit_under_noise() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = logistic4(x, 80, 20, 0, 0.5) + rng.normal(size=400)
    four, five = fit4(x, y), fit5(x, y)
    np.testing.assert_allclose(four.parameters, [80, 20, 0, 0.5], atol=1.5)
    assert four.plcc > plcc(x, y)
    assert five.plcc > plcc(x, y)
    assert four.rmse == pytest.approx(1, abs=0.1)


def test_fit_is_indifferent_to_scale_and_order() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = logistic4(x, 5, 1, 0.3, 0.4) + rng.normal(size=200) / 10
    order = rng.permutation(200)
    for fit in (fit4, fit5):
        assert fit(1e6 * x + 3e7, y).plcc == pytest.approx(fit(x, y).plcc, abs=1e-6)
        assert fit(x[order], y[order]).plcc == pytest.approx(fit(x, y).plcc, abs=1e-6)


def test_falling_fit_is_called_falling() -> None:
    x = np.linspace(-2, 2, 100)
    fit = fit4(-x, logistic4(x, 80, 20, 0, 0.5))
    assert fit.status == "falling"
    assert fit.usable
    assert fit.plcc == pytest.approx(1)  # the sign is lost: that is why it has to be said


def test_bent_fit_is_called_not_monotone() -> None:
    x = np.linspace(-3, 3, 200)
    y = logistic5(x, 40.0, 3.0, 0.0, -4.0, 50.0)  # rises steeply between two falling lines
    assert fit5(x, y).status == "not monotone"


@pytest.mark.parametrize("fit", [fit4, fit5])
def test_failed_fits_give_no_number(fit) -> None:
    cases = {
        "images for": ([1, 2, 3], [1, 2, 3]),
        "constant scores": ([1] * 9, range(9)),
        "constant MOS": (range(9), [1] * 9),
    }
    for reason, (x, y) in cases.items():
        result = fit(x, y)
        assert reason in result.status
        assert not result.usable
        assert np.isnan(result.plcc)
        assert np.isnan(result.rmse)
        assert len(result.mapped) == len(result.parameters) == 0


def test_no_convergence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.stats import logistic

    def never(*args, **kwargs):
        raise RuntimeError("Optimal parameters not found")

    monkeypatch.setattr(logistic, "curve_fit", never)
    x = np.arange(20.0)
    assert fit4(x, x).status == "failed: no convergence"
    figures = agreement(x, x, resamples=10)
    assert figures.plcc4_status == "failed: no convergence"
    assert np.isnan(figures.plcc4)
    assert np.isnan(figures.rmse)
    assert figures.srcc == pytest.approx(1)


def test_worse_than_trivial_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.stats import logistic

    monkeypatch.setattr(logistic, "curve_fit", lambda *a, **k: (np.full(5, 1e3), None))
    assert fit5(np.arange(20.0), np.arange(20.0)).status == "failed: no better than a trivial model"


# bootstrap


@QUICK
@given(pairs, st.integers(0, 1000))
def test_resampled_srcc_is_exact_with_ties(rows, seed: int) -> None:
    x, y = split(rows)
    weights = np.concatenate(list(counts(len(x), 8, seed)))
    found = srcc_samples([x], y, resamples=8, seed=seed)[:, 0]
    drawn = [np.repeat(np.arange(len(x)), w) for w in weights]
    expected = [reference(x[rows], y[rows])[0] for rows in drawn]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@QUICK
@given(pairs, st.integers(0, 1000))
@example([(0.0, 8.0), (0.0, -12.0), (1.0, -12.0)], 0)  # constant resamples, but for rounding
def test_resampled_plcc_is_exact(rows, seed: int) -> None:
    x, y = split(rows)
    weights = np.concatenate(list(counts(len(x), 8, seed)))
    found = plcc_samples(x, y, resamples=8, seed=seed)
    drawn = [np.repeat(np.arange(len(x)), w) for w in weights]
    expected = [reference(x[rows], y[rows])[2] for rows in drawn]
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


def test_interval_of_nothing_is_nan() -> None:
    found = interval(np.full(5, np.nan))
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_difference_p() -> None:
    assert difference_p(np.ones(999)) == pytest.approx(0.002)
    assert difference_p(np.array([-1.0, 1.0] * 500)) == 1.0
    assert difference_p(np.array([np.nan, 1.0, 1.0, -1.0])) == pytest.approx(1.0)


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
    assert found.record()["plcc5_status"] in ("ok", "not monotone")


def test_agreement_of_one_image() -> None:
    found = agreement([1.0], [2.0])
    assert found.n == 1
    assert np.isnan(found.srcc)
    assert np.isnan(found.srcc_low)
    assert found.plcc4_status.startswith("failed")
