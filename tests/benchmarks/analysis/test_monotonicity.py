"""Scores along ladders: every photo, type and level once, and the share of levels in order."""

import numpy as np
import pytest
import torch

from benchmarks.analysis.monotonicity import (
    along_ladders,
    ladder_curves,
    ladder_scores,
    ordered_pairs,
)
from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import MetricError, Scorer
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, distort


def brightness(images):
    return images.mean(dim=(1, 2, 3))


def photo(seed=0):
    return torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(seed))


def test_ladders_have_all_types_and_levels_and_repeat():
    scorers = [
        Scorer("up", "s", False, brightness),
        Scorer("down", "s", True, lambda x: -brightness(x)),
    ]
    image = photo()
    scores = ladder_scores([image], scorers, seed=1)
    assert scores.shape == (2, 1, len(DISTORTIONS), LEVELS + 1)
    np.testing.assert_array_equal(scores[0], -scores[1])
    np.testing.assert_allclose(scores[0, 0, :, 0], image.mean(), rtol=1e-6)
    np.testing.assert_array_equal(scores, ladder_scores([image], scorers, seed=1))
    up, down = (
        ladder_curves(s, j, resamples=20, seed=0) for s, j in zip(scores, scorers, strict=True)
    )
    assert up["ordered"] == down["ordered"]
    ordered = {row["name"]: row["ordered"] for row in up["types"]}
    assert (ordered["darken"], ordered["brighten"]) == (1.0, 0.0)


def test_every_cell_holds_its_own_version():
    values = along_ladders([photo(0), photo(1)], lambda x: x.mean(dim=(0, 2, 3)).numpy(), seed=5)
    assert values.shape == (2, len(DISTORTIONS), LEVELS + 1, 3)
    for row, name in ((0, "gaublur"), (list(DISTORTIONS).index("jpeg"), "jpeg")):
        rng = torch.Generator().manual_seed(5 + 1)
        expected = distort(photo(1)[None], name, 4, rng).mean(dim=(0, 2, 3))
        np.testing.assert_allclose(values[1, row, 4], expected, rtol=1e-6)


def test_a_table_cannot_score_versions(tmp_path):
    (tmp_path / "t.csv").write_text("image,score\na.png,1\n")
    with pytest.raises(MetricError, match="got a table"):
        ladder_scores([photo()], [build_scorer(f"table:{tmp_path / 't.csv'}")], seed=0)


def test_a_tie_of_levels_is_wrong():
    scores = np.array([[[3.0, 2.0, 1.0], [3.0, 3.0, 1.0], [1.0, 2.0, 3.0]]])
    np.testing.assert_allclose(ordered_pairs(scores), [[1, 2 / 3, 0]])
    with pytest.raises(ValueError, match="at least two levels"):
        ordered_pairs(np.ones((3, 1)))
