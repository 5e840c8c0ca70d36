"""Thurstone Case V against closed forms, a general optimiser and its own symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from benchmarks.stats.thurstone import has_maximum, thurstone


def wins_of(seed, m):
    return np.random.default_rng(seed).uniform(1, 100, size=(m, m))


def test_two_items_have_a_closed_form():
    ranking = thurstone(np.array([[[0.0, 80.0], [20.0, 0.0]]]))
    assert ranking.maximum.all() and ranking.converged.all()
    np.testing.assert_allclose(
        ranking.scores[0, 0] - ranking.scores[0, 1], norm.ppf(0.8), atol=1e-9
    )


@given(st.integers(0, 99), st.integers(2, 7))
@settings(max_examples=15, deadline=None)
def test_equals_a_general_optimiser(seed, m):
    wins = wins_of(seed, m)
    np.fill_diagonal(wins, 0)

    def loss(mu):
        return -(wins * norm.logcdf(mu[:, None] - mu[None, :])).sum() / wins.sum()

    expected = minimize(loss, np.zeros(m), method="BFGS", options={"gtol": 1e-9}).x
    scores = thurstone(wins[None]).scores[0]
    np.testing.assert_allclose(scores, expected - expected.mean(), atol=1e-5)
    assert loss(scores) <= loss(expected) + 1e-12


def test_scale_order_and_batch_do_not_matter():
    wins = np.stack([wins_of(seed, 5) for seed in range(4)])
    order = np.array([3, 1, 4, 0, 2])
    scores = thurstone(wins).scores
    np.testing.assert_allclose(thurstone(7 * wins).scores, scores, atol=1e-8)
    np.testing.assert_allclose(thurstone(wins[:1]).scores[0], scores[0], atol=1e-8)
    np.testing.assert_allclose(
        thurstone(wins[:, order][:, :, order]).scores, scores[:, order], atol=1e-8
    )
    np.testing.assert_allclose(scores.sum(axis=1), 0, atol=1e-12)


def test_unbeaten_items_have_no_finite_maximum_and_it_is_said():
    unbeaten = np.array([[0, 5, 5], [0, 0, 3], [0, 3, 0]], dtype=float)
    ranking = thurstone(np.stack([unbeaten, np.ones((3, 3)), np.zeros((3, 3))]))
    assert ranking.maximum.tolist() == [False, True, False]
    assert ranking.converged.all()
    assert np.isfinite(ranking.scores).all()
    assert ranking.scores[0].argmax() == 0
    np.testing.assert_allclose(ranking.scores[1:], 0, atol=1e-9)


def test_a_ring_of_wins_has_a_maximum():
    ring = np.zeros((1, 6, 6))
    ring[0, np.arange(6), (np.arange(6) + 1) % 6] = 1
    assert has_maximum(ring).all()
    ring[0, 5, 0] = 0
    assert not has_maximum(ring).any()


@pytest.mark.parametrize(
    ("wins", "message"),
    [
        (np.ones((3, 3)), "shape"),
        (np.ones((1, 1, 1)), "shape"),
        (-np.ones((1, 2, 2)), "at least 0"),
        (np.full((1, 2, 2), np.nan), "finite"),
    ],
)
def test_wrong_weights_are_refused(wins, message):
    with pytest.raises(ValueError, match=message):
        thurstone(wins)
