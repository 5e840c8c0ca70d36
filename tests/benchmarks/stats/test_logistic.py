"""Logistic fits: parameters recovered, and failures with their reason."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from benchmarks.stats.agreement import agreement
from benchmarks.stats.correlations import plcc
from benchmarks.stats.logistic import fit4, fit5, logistic4, logistic5

QUICK = settings(max_examples=30, deadline=None)
small = st.integers(-20, 20).map(float)
pairs = st.lists(st.tuples(small, small), min_size=3, max_size=40)


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
