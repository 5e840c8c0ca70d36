"""Matrices, rankings, and what became of the bins."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.gmad.competition import Design
from benchmarks.gmad.matrices import Cells, aggressiveness, rank_matrix, resample, resistance
from benchmarks.gmad.pool import pool_from_results, read_wide
from benchmarks.gmad.result import mos_preference, run_competition, summarise

PREDICTIONS = Path(__file__).parents[4] / "shared" / "data" / "predictions"


def test_matrices_by_hand():
    """Attacker 0 against 1 in bins of 30 and 10 images; 1 against 0 once, wrongly."""
    cells = Cells(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([30.0, 10.0, 8.0]), 2)
    preference = np.array([80.0, -40.0, -20.0])
    expected = [[np.nan, (30 * 80 - 10 * 40) / 40], [0, np.nan]]
    np.testing.assert_allclose(aggressiveness(cells, preference)[0], expected)
    expected = [[np.nan, 80], [(30 * 20 + 10 * 60) / 40, np.nan]]
    np.testing.assert_allclose(resistance(cells, preference)[0], expected)


def test_a_pair_over_the_whole_range_of_mos_has_no_negative_resistance():
    """100 - |preference| is -1.4e-14 by rounding; the ranking wants weights of at least 0."""
    cells = Cells(np.array([0, 1]), np.array([1, 0]), np.ones(2), 2)
    preference = np.array([100 + 1.5e-14, 40.0])
    assert 100.0 - preference[0] < 0
    matrix = resistance(cells, preference)
    assert (matrix[np.isfinite(matrix)] >= 0).all()
    assert np.isfinite(rank_matrix(matrix[0], matrix).score).all()


def test_bootstrap_draws_within_cells():
    cells = Cells(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0]), np.ones(4), 2)
    counts = resample(cells, 200, np.random.default_rng(0))
    assert (counts[:, :3].sum(axis=1) == 3).all() and (counts[:, 3] == 1).all()
    assert counts[:, :3].std() > 0.5


def test_mos_preference_is_percent_of_the_pools_range(table):
    pool = read_wide(table)
    pairs = run_competition(pool, Design(), "rank").pairs_table()
    preference = mos_preference(pairs, pool.mos)
    row = pairs.iloc[0]
    expected = 100 * (row.mos_best - row.mos_worst) / np.ptp(pool.mos)
    assert preference[0] == pytest.approx(expected)
    assert mos_preference(pairs, np.empty(0)) is None


def test_bins_are_counted_by_what_became_of_them(wide, tmp_path):
    table = wide(image=list("abcde"), one=[0.0, 1, 2, 3, 4], two=[0.0, 0, 0, 0, 4])
    pool = read_wide(table)
    pairs = run_competition(pool, Design(levels=3, width=9, min_gap=30), "rank").pairs_table()
    bins = summarise(pairs, pool.metrics, None)["bins"]
    states = bins["paired"] + bins["empty"] + bins["single_image"] + bins["no_pair_allowed"]
    assert bins["asked"] == states == 6
    assert bins["empty"] > 0 and bins["single_image"] > 0


@pytest.mark.skipif(not PREDICTIONS.exists(), reason="../shared/data/predictions is absent")
def test_real_predictions():
    """Nine metrics on upscaled images: every row against the definition, and a sane ranking."""
    from benchmarks.datasets import avt

    frame = avt.load(PREDICTIONS)
    frame.attrs.setdefault("signatures", {})
    pool = pool_from_results(frame)
    result = run_competition(pool, Design(), "rank")
    table, scaled = result.pairs_table(), pd.DataFrame(result.scores, pool.images, pool.metrics)
    # four of the nine scored 80 % of the images, less than a competition asks for
    assert len(pool.metrics) == 5 and len(pool.images) > 1000 and len(table) == 5 * 4 * 6
    for row in table.itertuples():
        inside = scaled[(scaled[row.defender] - row.centre).abs() <= 9 + 1e-9].sort_index()
        assert len(inside) == row.population
        if row.population > 1:
            assert inside[row.attacker].idxmax() == row.best
            assert inside[row.attacker].idxmin() == row.worst
    summary = summarise(table, pool.metrics, mos_preference(table, pool.mos), resamples=50)
    srcc = scaled.corrwith(pd.Series(pool.mos, pool.images), method="spearman")
    scores = {r["metric"]: r["score"] for r in summary["aggressiveness_ranking"]["rows"]}
    assert srcc.corr(pd.Series(scores), method="spearman") > 0.5
