"""The common scale by ranks or by a fitted logistic."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.gmad.pool import read_wide
from benchmarks.gmad.scale import logistic_scale, to_common_scale


def test_logistic_scale_is_monotone_bounded_and_follows_the_labels():
    rng = np.random.default_rng(0)
    score = rng.normal(size=300)
    mos = 1 + 4 / (1 + np.exp(-2 * score))
    mapped = logistic_scale(score, score, mos)
    order = np.argsort(score)
    assert (np.diff(mapped[order]) >= 0).all()
    assert mapped.min() >= 0 and mapped.max() <= 100
    np.testing.assert_allclose(mapped, 100 * (mos - mos.min()) / np.ptp(mos), atol=1.0)
    np.testing.assert_allclose(logistic_scale(-score, -score, mos), mapped, atol=1e-3)


def test_a_failed_fit_is_said_with_the_metrics_name(table):
    frame = pd.read_csv(table)
    frame["useless"] = 1.0
    frame.to_csv(table, index=False)
    pool = read_wide(table)
    with pytest.raises(ValueError, match="useless"):
        to_common_scale("logistic", pool.scores, pool.metrics, pool.labelled)
