"""The losses against a plain loop over the sums as docs/guide/train.md states them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qualiclip_metric.training import TrainConfig
from qualiclip_metric.training.losses import consistency_loss, ranking_loss, ranking_losses


def similarities(seed, photos=2, levels=5, pairs=3):
    return torch.rand(photos, 2, levels, pairs, generator=torch.Generator().manual_seed(seed))


def looped_ranking(s, margin, crops):
    photos, _, levels, pairs = s.shape
    total = 0.0
    for b, p in itertools.product(range(photos), range(pairs)):
        for k, m in crops:
            for i, j in itertools.combinations(range(levels), 2):
                total += max(0.0, float(s[b, k, j, p] - s[b, m, i, p]) + margin)
    return total / (photos * pairs)


@given(st.integers(0, 100), st.floats(0, 0.5))
@settings(max_examples=10, deadline=None)
def test_ranking_is_the_stated_sum(seed, margin):
    s = similarities(seed)
    every = list(itertools.product(range(2), repeat=2))
    assert ranking_loss(s, margin) == pytest.approx(looped_ranking(s, margin, every), rel=1e-4)
    same = ranking_loss(s, margin, cross_crop=False)
    assert same == pytest.approx(looped_ranking(s, margin, [(0, 0), (1, 1)]), rel=1e-4)


@given(st.integers(0, 100), st.floats(0, 0.5))
@settings(max_examples=10, deadline=None)
def test_consistency_is_the_stated_sum(seed, margin):
    s = similarities(seed)
    stated = sum(
        max(0.0, abs(float(s[b, 0, level, p] - s[b, 1, level, p])) - margin)
        for b, level, p in itertools.product(range(2), range(5), range(3))
    ) / (2 * 3)
    assert consistency_loss(s, margin) == pytest.approx(stated, rel=1e-4, abs=1e-6)


def test_mean_is_the_sum_over_the_number_of_terms():
    s = similarities(3)
    assert ranking_loss(s, 0.1, "mean") == pytest.approx(ranking_loss(s, 0.1) / (4 * 10))
    assert consistency_loss(s, 0.1, "mean") == pytest.approx(consistency_loss(s, 0.1) / 5)


def test_a_perfect_order_costs_nothing_and_a_reversed_one_costs_every_pair():
    falling = torch.arange(5, 0, -1.0).view(1, 1, 5, 1).expand(1, 2, 5, 1)
    assert ranking_loss(falling, 0.5) == 0
    assert ranking_loss(-falling, 0.0) == pytest.approx(4 * (4 * 1 + 3 * 2 + 2 * 3 + 1 * 4))


def test_every_prompt_pair_and_both_prompts_take_part():
    s = torch.rand(2, 2, 5, 3, 2, requires_grad=True)
    losses = ranking_losses(s, TrainConfig(margin_rank=1.0))
    assert set(losses) == {"consistency", "positive", "negative"}
    torch.stack(list(losses.values())).sum().backward(retain_graph=True)
    assert (s.grad.abs().sum(dim=(0, 1, 2)) > 0).all()
    # degraded crops should leave the positive prompt and approach the negative one
    grad = torch.autograd.grad(losses["positive"] + losses["negative"], s)[0]
    assert grad[:, :, -1, :, 0].min() > 0 > grad[:, :, -1, :, 1].max()
