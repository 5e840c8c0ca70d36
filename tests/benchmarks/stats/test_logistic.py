"""Logistic fits: parameters recovered, the global optimum found, failures with their reason."""

import numpy as np
import pytest
from scipy.special import expit

from benchmarks.stats.agreement import agreement
from benchmarks.stats.logistic import fit4, fit5, logistic4, logistic5


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
    assert (fit.status, fit.usable) == ("falling", True)
    assert fit.plcc == pytest.approx(1)  # the sign is lost, and so the status says it


def test_bent_fit_is_called_not_monotone() -> None:
    x = np.linspace(-3, 3, 200)
    y = logistic5(x, 40.0, 3.0, 0.0, -4.0, 50.0)  # rises steeply between two falling lines
    assert fit5(x, y).status == "not monotone"


def test_a_straight_line_is_called_a_line() -> None:
    x = np.linspace(-3, 3, 50)
    fit = fit5(x, 2 * x + 7)
    assert (fit.status, fit.plcc) == ("line", pytest.approx(1))
    np.testing.assert_allclose(logistic5(x, *fit.parameters), 2 * x + 7, atol=1e-9)


SHAPES = (
    lambda z: expit(2 * z), lambda z: z, lambda z: expit(8 * (z - 1)), lambda z: 0.2 * z - expit(z),
    lambda z: z**2, np.exp, np.abs, lambda z: z**3 - 2 * z,
)  # fmt: skip


def simulated(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one of 8 shapes under noise, some of them with ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([30, 60, 100]))
    z = rng.normal(size=n) if seed % 3 else rng.gamma(1.5, size=n)
    z = (z - z.mean()) / z.std()
    y = SHAPES[seed % 8](z)
    y = y / y.std() + rng.choice([0.05, 0.3, 1.0, 3.0]) * rng.normal(size=n)
    return z, np.round(y, 1) if seed % 5 == 0 else y


def best_of_a_wide_grid(z: np.ndarray, y: np.ndarray) -> float:
    """Largest PLCC over 40 values of b2 and some 200 of b3, the other three solved exactly."""
    line = np.linalg.qr(np.stack([np.ones_like(z), z], axis=1)).Q
    target, gain = y - line @ (line.T @ y), 0.0
    places = np.unique(z)
    places = np.concatenate([places, (places[1:] + places[:-1]) / 2])
    for b2 in np.geomspace(0.02, 500, 40):
        tails = np.linspace(0.1, 8, 15) / b2
        b3 = np.concatenate([places, z.min() - tails, z.max() + tails])
        s = expit(b2 * (z - b3[:, None]))
        s = s - (s @ line) @ line.T
        gain = max(gain, ((s @ target) ** 2 / np.maximum((s * s).sum(axis=1), 1e-300)).max())
    return float(np.sqrt(1 - (target @ target - gain) / ((y - y.mean()) ** 2).sum()))


def test_no_start_of_a_wide_grid_beats_fit5() -> None:
    """50 shapes here; 200 held when the search was written."""
    for seed in range(50):
        z, y = simulated(seed)
        fit = fit5(z, y)
        assert fit.usable
        assert fit.plcc >= best_of_a_wide_grid(z, y) - 1e-3, seed


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
        assert np.isnan(result.plcc) and np.isnan(result.rmse)
        assert len(result.mapped) == len(result.parameters) == 0


def test_no_convergence_and_worse_than_the_mean_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.stats import logistic

    def never(*args, **kwargs):
        raise RuntimeError("Optimal parameters not found")

    x = np.arange(20.0)
    monkeypatch.setattr(logistic, "curve_fit", never)
    figures = agreement(x, x, resamples=10)
    assert figures.plcc4_status == "failed: no convergence"
    assert np.isnan(figures.plcc4) and np.isnan(figures.rmse)
    assert figures.srcc == pytest.approx(1)
    monkeypatch.setattr(logistic, "curve_fit", lambda *a, **k: (np.full(4, 1e3), None))
    assert fit4(x, x).status == "failed: no better than the mean"
