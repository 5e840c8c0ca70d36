"""The gMAD core against a brute-force reading of its definition and against hand-made pools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from benchmarks.gmad.competition import Design, rank_scale, select_pairs


def brute_force(scores, levels, width):
    """The definition, one image at a time; rows are in the order of the names."""
    n, m = scores.shape
    rows = []
    for attacker in range(m):
        for defender in range(m):
            if attacker == defender:
                continue
            values = [float(v) for v in scores[:, defender]]
            low, high = min(values), max(values)
            for level in range(1, levels + 1):
                centre = low + (level - 0.5) * (high - low) / levels
                inside = [i for i in range(n) if abs(values[i] - centre) <= width + 1e-9]
                best = worst = -1
                for i in inside if len(inside) > 1 else []:
                    if best < 0 or scores[i, attacker] > scores[best, attacker]:
                        best = i
                    if worst < 0 or scores[i, attacker] < scores[worst, attacker]:
                        worst = i
                gap = scores[best, attacker] - scores[worst, attacker] if best >= 0 else np.nan
                rows.append((attacker, defender, level, centre, len(inside), best, worst, gap))
    return rows


def same(pair, row):
    return (
        pair[:3] == row[:3]
        and pair[4:7] == row[4:7]
        and np.allclose((pair.centre, pair.gap), (row[3], row[7]), equal_nan=True)
    )


@given(
    st.integers(2, 25), st.integers(2, 4), st.integers(1, 7), st.integers(0, 30), st.integers(0, 99)
)
@settings(max_examples=80, deadline=None)
def test_equals_brute_force(n, m, levels, width, seed):
    rng = np.random.default_rng(seed)
    scores = rank_scale(rng.integers(0, 8, size=(n, m)).astype(float))  # many ties
    pairs = select_pairs(scores, Design(levels=levels, width=width))
    expected = brute_force(scores, levels, width)
    assert len(pairs) == m * (m - 1) * levels
    assert all(same(pair, row) for pair, row in zip(pairs, expected, strict=True))


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_rank_scale_is_the_average_rank_in_percent(values):
    column = np.array(values, dtype=float)
    expected = 100 * (rankdata(column, method="average") - 1) / (len(values) - 1)
    np.testing.assert_allclose(rank_scale(column[:, None])[:, 0], expected, atol=1e-12)


def test_bin_ends_are_included_where_rounding_would_exclude_them():
    # Centre 1.5 * 100 / 6 = 25; 25 - 25/3 = 50/3, which is no float.
    defender = np.array([0.0, 50 / 3, 100 / 3, 100.0])
    scores = np.stack([np.array([1.0, 2.0, 3.0, 4.0]), defender], axis=1)
    pair = select_pairs(scores, Design(levels=6, width=25 / 3))[1]
    assert (pair.level, pair.population, pair.best, pair.worst) == (2, 2, 2, 1)


def test_a_hand_made_pool():
    """Six images; metric 0 tells apart what metric 1 holds equal."""
    scores = np.array([[0, 50], [100, 50], [20, 50], [40, 0], [60, 100], [80, 100]], dtype=float)
    first, second, third = select_pairs(scores, Design(levels=3, width=17))[:3]
    assert (first.population, first.best, first.worst) == (1, -1, -1)
    assert np.isnan(first.gap)
    assert (second.centre, second.population, second.best, second.worst) == (50, 3, 1, 0)
    assert second.gap == 100
    assert (third.population, third.best, third.worst, third.gap) == (2, 5, 4, 20)


def test_small_gaps_give_no_pair():
    scores = np.array([[0, 50], [4, 50], [50, 0], [100, 100]], dtype=float)
    for min_gap, images in ((4, (1, 0)), (4.1, (-1, -1))):
        pair = select_pairs(scores, Design(levels=1, width=9, min_gap=min_gap))[0]
        assert (pair.population, pair.best, pair.worst) == (2, *images)


def test_several_pairs_per_bin_are_nested_and_share_no_image():
    scores = np.array([[v, 50] for v in (5, 1, 4, 2, 3)], dtype=float)
    pairs = select_pairs(scores, Design(levels=1, width=9, pairs=9))[:2]
    assert [(p.best, p.worst, p.gap) for p in pairs] == [(0, 1, 4), (2, 3, 2)]


def test_distinct_contents_take_the_widest_pair_of_two_contents():
    scores = np.array([[100, 50], [0, 50], [70, 50], [10, 50], [50, 50]], dtype=float)
    contents = np.array([0, 0, 1, 2, 2])
    pairs = select_pairs(scores, Design(levels=1, width=9, pairs=3), contents)
    cell = [p for p in pairs if p.attacker == 0]
    assert [(p.best, p.worst, p.gap) for p in cell] == [(0, 3, 90)]
    one = select_pairs(scores, Design(levels=1, width=9), np.zeros(5, dtype=np.int64))[0]
    assert (one.population, one.best) == (5, -1)


@given(st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_distinct_contents_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, size=12).astype(float)
    contents = rng.integers(0, 4, size=12)
    scores = np.stack([values, np.full(12, 50.0)], axis=1)
    pair = select_pairs(scores, Design(levels=1, width=9), contents)[0]
    gaps = [
        values[i] - values[j] for i in range(12) for j in range(12) if contents[i] != contents[j]
    ]
    if gaps:
        assert pair.gap == max(gaps)
        assert contents[pair.best] != contents[pair.worst]
    else:
        assert pair.best == -1


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((5, 1)), "two metrics"),
        (np.zeros((1, 2)), "two images"),
        (np.array([[0.0, np.nan], [1.0, 1.0]]), "finite"),
    ],
)
def test_wrong_scores_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        select_pairs(scores, Design())


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"width": -1}, {"pairs": 0}, {"min_gap": np.nan}])
def test_wrong_designs_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Design(**wrong)
