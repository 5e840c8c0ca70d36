"""Error rates of a bar, on scores whose rates are known."""

import numpy as np
import pytest

from benchmarks.stats.rejection import rejection

MOS = np.arange(400.0)


@pytest.mark.parametrize(
    ("scores", "percentile", "caught", "lost"),
    [
        (MOS, 10, 0.4, 0.0),  # 40 of the worst 100
        (MOS, 30, 1.0, 0.0),
        (-MOS, 30, 0.0, 0.6),  # 120 of the better 200
        (MOS % 2, 30, 0.0, 0.0),  # a tie below the bar rejects nothing
    ],
)
def test_rates(scores: np.ndarray, percentile: float, caught: float, lost: float) -> None:
    found = rejection(scores, MOS, percentile, resamples=200)
    assert (found.caught.value, found.lost.value) == pytest.approx((caught, lost), abs=1e-9)
    assert found.caught.bounds.low <= caught <= found.caught.bounds.high


def test_a_rate_of_chance_is_the_percentile_with_the_interval_of_a_binomial() -> None:
    scores = np.random.default_rng(0).normal(size=4000)
    found = rejection(scores, np.arange(4000.0), 20, resamples=2000)
    assert found.lost.value == pytest.approx(0.2, abs=0.02)
    width = found.lost.bounds.high - found.lost.bounds.low
    assert width == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 2000), rel=0.1)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        rejection([1, 2, np.nan, 4], [1, 2, 3, 4], 5)
