"""The VQEG logistic mappings from scores to MOS, with a status that says whether a fit is usable.

References: VQEG, Final report on the validation of objective models (FR-TV Phase II), 2003 (four
parameters); Sheikh, Sabir and Bovik, IEEE TIP 15(11), 2006, eq. 8 (five parameters).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, curve_fit, least_squares
from scipy.special import expit, log_expit

from benchmarks.stats import FloatArray
from benchmarks.stats.correlations import paired, plcc, rmse

STARTS4 = ((0.0, 0.5), (0.0, 2.0), (1.0, 0.5), (-1.0, 0.5))
"""First guesses (b3, b4) of the four-parameter fit, in standard deviations of the scores."""

STEEPNESS = np.geomspace(0.05, 400, 16)
"""Grid of b2 per standard deviation: at .05 the logistic is a cubic, at 400 a step."""
CENTRES = 256
"""Most centres b3 of the grid inside the data: at the scores and in the middle between two."""
REFINED = 6
"""Points of the grid that are refined."""


@dataclass(frozen=True)
class Fit:
    """A fitted mapping."""

    # ``ok``; ``falling`` (better scores go with worse opinions; the PLCC of ``mapped`` is positive
    # all the same, so the sign of the SRCC tells); ``not monotone`` (the curve turns inside the
    # data); ``line`` (five parameters: no logistic part is better than the straight line alone); or
    # ``failed: REASON``, and then the numbers are NaN
    status: str
    parameters: FloatArray  # parameters b1.. on the scale of the raw scores; empty on failure
    mapped: FloatArray  # predicted MOS per image; empty on failure
    plcc: float  # Pearson's correlation of ``mapped`` with the MOS
    rmse: float  # root mean squared error of ``mapped``, in MOS units

    @property
    def usable(self) -> bool:
        """Whether the fit has numbers."""
        return not self.status.startswith("failed")


def logistic4(x: FloatArray, b1: float, b2: float, b3: float, b4: float) -> FloatArray:
    """Four parameters: ``b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|))`` (VQEG, 2003)."""
    return b2 + (b1 - b2) * expit((x - b3) / abs(b4))


def logistic5(x: FloatArray, b1: float, b2: float, b3: float, b4: float, b5: float) -> FloatArray:
    """Five parameters: ``b1 (1/2 - 1/(1 + exp(b2 (x - b3)))) + b4 x + b5`` (Sheikh, eq. 8)."""
    return b1 * (expit(b2 * (x - b3)) - 0.5) + b4 * x + b5


def fit4(pred: ArrayLike, mos: ArrayLike) -> Fit:
    """Least-squares fit of :func:`logistic4`: the best of the usual starts that converge."""
    x, y = paired(pred, mos)
    if reason := _unfit(x, y, parameters=4):
        return _failed(reason)
    centre, spread = float(x.mean()), float(x.std())
    z = (x - centre) / spread
    high, low = float(y.max()), float(y.min())
    starts = [(high, low, *start) for start in STARTS4] + [(low, high, *STARTS4[0])]
    fits = [b for start in starts if (b := _converged(z, y, start)) is not None]
    if not fits:
        return _failed("no convergence")
    b1, b2, b3, b4 = min(fits, key=lambda b: _squared(logistic4(z, *b) - y))
    mapped = logistic4(z, b1, b2, b3, b4)
    if _squared(mapped - y) > _squared(y - y.mean()):  # the mean is one of the model's curves
        return _failed("no better than the mean")
    if not np.ptp(mapped) > 1e-9 * np.ptp(y):
        return _failed("constant mapping")
    status = _shape(logistic4(_grid(z), b1, b2, b3, b4))
    raw = np.array([b1, b2, centre + spread * b3, spread * abs(b4)])
    return Fit(status, raw, mapped, plcc(mapped, y), rmse(mapped, y))


def fit5(pred: ArrayLike, mos: ArrayLike) -> Fit:
    """Least-squares fit of :func:`logistic5`: a global search, so that no start decides.

    For a given steepness and centre the model is linear in b1, b4 and b5. So only these two are
    searched (variable projection: Golub and Pereyra, SIAM Journal on Numerical Analysis 10(2),
    1973): on a grid, then by a bounded descent from the best points of the grid. The bounds hold
    the many cases whose optimum lies at infinity (a step, a cubic, an exponential), where
    a search over all five parameters does not converge.
    """
    x, y = paired(pred, mos)
    if reason := _unfit(x, y, parameters=5):
        return _failed(reason)
    centre, spread = float(x.mean()), float(x.std())
    z = (x - centre) / spread
    line = np.linalg.qr(np.stack([np.ones_like(z), z], axis=1)).Q  # (n, 2) orthonormal

    def without_line(values: FloatArray) -> FloatArray:
        """Remove from ``(..., n)`` values their least-squares line."""
        rest: FloatArray = values - (values @ line) @ line.T
        return rest

    target = without_line(y)

    def residual(p: FloatArray) -> FloatArray:
        """Error ``(n,)`` of the best b1, b4 and b5 for ``p = (log b2, b3)``."""
        s = without_line(_scaled_logistic(np.exp(p[0]), p[1], z))
        error: FloatArray = s * ((s @ target) / max(_squared(s), 1e-300)) - target
        return error

    searches = [
        least_squares(residual, start, bounds=([-5.0, -200.0], [7.0, 200.0]), max_nfev=60)
        for start in _starts5(z, target, without_line)
    ]
    best = min(searches, key=lambda search: search.cost)
    b2, b3 = float(np.exp(best.x[0])), float(best.x[1])
    improved = _squared(target) - 2 * best.cost  # cost is half the sum of squares
    mapped = y + best.fun
    if is_line := improved <= 1e-9 * _squared(y - y.mean()):
        mapped = y - target
    if not np.ptp(mapped) > 1e-9 * np.ptp(y):
        return _failed("constant mapping")
    columns = np.stack([expit(b2 * (z - b3)) - 0.5, z, np.ones_like(z)], axis=1)
    columns[:, 0] *= not is_line  # b1 = 0
    b1, b4, b5 = np.linalg.lstsq(columns, mapped, rcond=None)[0]
    status = "line" if is_line else _shape(logistic5(_grid(z), b1, b2, b3, b4, b5))
    slope = b4 / spread
    raw = np.array([b1, b2 / spread, centre + spread * b3, slope, b5 - slope * centre])
    return Fit(status, raw, mapped, plcc(mapped, y), rmse(mapped, y))


def _unfit(x: FloatArray, y: FloatArray, parameters: int) -> str:
    """Reason why no curve with so many parameters can be fitted, else ""."""
    if len(x) <= parameters:
        return f"{len(x)} images for {parameters} parameters"
    if not x.std() > 0:
        return "constant scores"
    return "" if y.std() > 0 else "constant MOS"


def _failed(reason: str) -> Fit:
    nothing = np.empty(0)
    return Fit(f"failed: {reason}", nothing, nothing, float("nan"), float("nan"))


def _converged(z: FloatArray, y: FloatArray, start: tuple[float, ...]) -> FloatArray | None:
    """Four parameters found from one start; None where the search does not converge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # covariances are not used
            found: FloatArray = curve_fit(logistic4, z, y, p0=start, maxfev=10000)[0]
    except RuntimeError:
        return None
    return found


def _scaled_logistic(steepness: float, centre: ArrayLike, z: FloatArray) -> FloatArray:
    """Logistic of scores ``(n,)`` up to a factor and an offset, of size 1 inside the data.

    Far outside the data, ``expit`` itself is 0 or 1 to all digits and its shape is lost: the ratio
    to its largest value, taken between logarithms, is the exponential that is left.
    """
    centres = np.asarray(centre, dtype=np.float64)[..., None]
    sign = np.where(centres < 0.5 * (z.min() + z.max()), -1.0, 1.0)  # the tail inside the data
    logs = log_expit(sign * steepness * (z - centres))
    scaled: FloatArray = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return scaled


def _starts5(
    z: FloatArray, target: FloatArray, without_line: Callable[[FloatArray], FloatArray]
) -> list[FloatArray]:
    """Points (log b2, b3) of the grid that lower the squared error most, one per steepness."""
    values = np.unique(z)
    places = np.sort(np.concatenate([values, 0.5 * (values[1:] + values[:-1])]))
    count = min(CENTRES, max(32, 1_000_000 // len(z)))  # the grid's time is count * n
    inside = places[np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))]
    tails = np.array([1.0, 3.0, 6.0])
    found = []
    for steepness in STEEPNESS:
        outside = [z.min() - tails / steepness, z.max() + tails / steepness]
        centres = np.concatenate([inside, *outside])
        s = without_line(_scaled_logistic(steepness, centres, z))  # (centres, n)
        gain = (s @ target) ** 2 / np.maximum((s * s).sum(axis=1), 1e-300)
        best = int(gain.argmax())
        found.append((gain[best], np.array([np.log(steepness), centres[best]])))
    found.sort(key=lambda pair: -pair[0])
    return [start for _, start in found[:REFINED]]


def _grid(z: FloatArray) -> FloatArray:
    grid: FloatArray = np.linspace(z.min(), z.max(), 513)
    return grid


def _squared(error: FloatArray) -> float:
    return float(error @ error)


def _shape(curve: FloatArray) -> str:
    """Status of a mapping from its values along the scores."""
    rises = np.diff(curve) / np.ptp(curve)
    if (rises >= -1e-9).all():
        return "ok"
    return "falling" if (rises <= 1e-9).all() else "not monotone"
