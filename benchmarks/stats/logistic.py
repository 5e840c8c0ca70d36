"""The VQEG logistic mappings from scores to MOS, with a status for fits that fail.

A fit that did not converge, or is worse than a trivial model, gives
no number: its ``status`` says why.

References: VQEG, Final report on the validation of objective models (FR-TV Phase II), 2003 (four
parameters); Sheikh, Sabir and Bovik, IEEE TIP 15(11), 2006, eq. 8 (five parameters).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

from benchmarks.stats.arrays import FloatArray
from benchmarks.stats.correlations import paired, plcc, rmse


@dataclass(frozen=True)
class Fit:
    """A fitted mapping.

    Attributes:
        status: ``ok``; ``falling`` (better scores go with worse opinions: the correlation of
            ``mapped`` is positive all the same, so mind the SRCC's sign); ``not monotone`` (it
            turns round inside the data); or ``failed: REASON``, and then the numbers are NaN.
        parameters: Parameters b1.. on the scale of the raw scores; empty on failure.
        mapped: Predicted MOS per image; empty on failure.
        plcc: Pearson's correlation of ``mapped`` with the MOS.
        rmse: Root mean squared error of ``mapped``, in MOS units.
    """

    status: str
    parameters: FloatArray
    mapped: FloatArray
    plcc: float
    rmse: float

    @property
    def usable(self) -> bool:
        """Whether the numbers are there."""
        return not self.status.startswith("failed")


def logistic4(x: FloatArray, b1: float, b2: float, b3: float, b4: float) -> FloatArray:
    """Four parameters: ``b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))`` (VQEG, 2003).

    Args:
        x: ``(n,)`` scores.
        b1: Value for high scores.
        b2: Value for low scores.
        b3: Centre.
        b4: Width; its sign does not matter.

    Returns:
        ``(n,)`` values on the scale of the MOS.
    """
    return b2 + (b1 - b2) * expit((x - b3) / abs(b4))


def logistic5(x: FloatArray, b1: float, b2: float, b3: float, b4: float, b5: float) -> FloatArray:
    """Five parameters: ``b1 (1/2 - 1/(1 + exp(b2 (x - b3)))) + b4 x + b5`` (Sheikh, eq. 8).

    Args:
        x: ``(n,)`` scores.
        b1: Height of the logistic part.
        b2: Its steepness.
        b3: Its centre.
        b4: Slope of the linear part.
        b5: Offset.

    Returns:
        ``(n,)`` values on the scale of the MOS.
    """
    return b1 * (expit(b2 * (x - b3)) - 0.5) + b4 * x + b5


def fit4(pred: ArrayLike, mos: ArrayLike) -> Fit:
    """Least-squares fit of :func:`logistic4`.

    Args:
        pred: ``(n,)`` scores, higher is better.
        mos: ``(n,)`` opinions, higher is better.

    Returns:
        The fit, whose status says whether it can be used.

    Raises:
        ValueError: Shapes differ or a value is not finite.
    """
    return _fit(_FOUR, *paired(pred, mos))


def fit5(pred: ArrayLike, mos: ArrayLike) -> Fit:
    """Least-squares fit of :func:`logistic5`.

    Args:
        pred: ``(n,)`` scores, higher is better.
        mos: ``(n,)`` opinions, higher is better.

    Returns:
        The fit, whose status says whether it can be used.

    Raises:
        ValueError: Shapes differ or a value is not finite.
    """
    return _fit(_FIVE, *paired(pred, mos))


@dataclass(frozen=True)
class _Model:
    """A mapping with what its fit needs.

    Attributes:
        parameters: How many there are.
        function: The mapping: (scores, *parameters) -> MOS.
        starts: First guesses from the MOS, on standardised scores.
        unscale: Brings parameters back to the scale of the raw scores.
        trivial: Squared error that a fit has to beat.
    """

    parameters: int
    function: Callable[..., FloatArray]
    starts: Callable[[FloatArray], list[list[float]]]
    unscale: Callable[[FloatArray, float, float], FloatArray]
    trivial: Callable[[FloatArray, FloatArray], float]


def _failed(reason: str) -> Fit:
    nothing = np.empty(0)
    return Fit(f"failed: {reason}", nothing, nothing, float("nan"), float("nan"))


def _fit(model: _Model, x: FloatArray, y: FloatArray) -> Fit:
    """Fit on standardised scores from several starts, keep the best, judge it."""
    if len(x) <= model.parameters:
        return _failed(f"{len(x)} images for {model.parameters} parameters")
    centre, spread = float(x.mean()), float(x.std())
    if not spread > 0 or not float(y.std()) > 0:
        return _failed("constant scores" if not spread > 0 else "constant MOS")
    z = (x - centre) / spread
    best = _least_squares(model.function, z, y, model.starts(y))
    if best is None:
        return _failed("no convergence")
    mapped = model.function(z, *best)
    error = float(np.sum((mapped - y) ** 2))
    if error > model.trivial(z, y):
        return _failed("no better than a trivial model")
    if not np.ptp(mapped) > 1e-9 * np.ptp(y):
        return _failed("constant mapping")
    grid = model.function(np.linspace(z.min(), z.max(), 513), *best)
    return Fit(
        _shape(grid),
        model.unscale(best, centre, spread),
        mapped,
        plcc(mapped, y),
        rmse(mapped, y),
    )


def _least_squares(
    function: Callable[..., FloatArray], z: FloatArray, y: FloatArray, starts: list[list[float]]
) -> FloatArray | None:
    """The best parameters over all starts that converge; None if none does."""
    best: FloatArray | None = None
    lowest = np.inf
    for start in starts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)  # covariances are not used
                found, _ = curve_fit(function, z, y, p0=start, maxfev=10000)
        except RuntimeError:  # no convergence from this start
            continue
        error = float(np.sum((function(z, *found) - y) ** 2))
        if error < lowest:
            best, lowest = found, error
    return best


def _constant_error(z: FloatArray, y: FloatArray) -> float:
    """Squared error of the mean, which the four parameters contain."""
    return float(np.sum((y - y.mean()) ** 2))


def _line_error(z: FloatArray, y: FloatArray) -> float:
    """Squared error of the best straight line, which the five parameters contain; a bit more."""
    slope, shift = np.polyfit(z, y, 1)
    line = float(np.sum((slope * z + shift - y) ** 2))
    return line * (1 + 1e-3) + 1e-9 * _constant_error(z, y)


def _shape(grid: FloatArray) -> str:
    """Status of a mapping from its values along the scores."""
    rises = np.diff(grid) / np.ptp(grid)
    if (rises >= -1e-9).all():
        return "ok"
    return "falling" if (rises <= 1e-9).all() else "not monotone"


def _starts4(y: FloatArray) -> list[list[float]]:
    high, low = float(y.max()), float(y.min())
    return [
        [high, low, 0.0, 0.5],
        [low, high, 0.0, 0.5],
        [high, low, 0.0, 2.0],
        [high, low, 1.0, 0.5],
        [high, low, -1.0, 0.5],
    ]


def _starts5(y: FloatArray) -> list[list[float]]:
    reach, middle = float(np.ptp(y)), float(y.mean())
    return [
        [reach, 1.0, 0.0, 0.0, middle],
        [-reach, 1.0, 0.0, 0.0, middle],
        [reach, 4.0, 0.0, reach / 4, middle],
        [reach / 4, 2.0, 1.0, reach / 4, middle],
        [reach / 4, 2.0, -1.0, reach / 4, middle],
    ]


def _unscale4(b: FloatArray, centre: float, spread: float) -> FloatArray:
    return np.array([b[0], b[1], centre + spread * b[2], spread * abs(b[3])])


def _unscale5(b: FloatArray, centre: float, spread: float) -> FloatArray:
    slope = b[3] / spread
    return np.array([b[0], b[1] / spread, centre + spread * b[2], slope, b[4] - slope * centre])


_FOUR = _Model(4, logistic4, _starts4, _unscale4, _constant_error)
_FIVE = _Model(5, logistic5, _starts5, _unscale5, _line_error)
