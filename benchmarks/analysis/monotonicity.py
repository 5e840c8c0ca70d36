"""Monotonicity: how scores move along the ladder of levels of every distortion type."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from benchmarks.metrics.scorer import Scorer
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, versions

__all__ = [
    "along_ladders",
    "ladder_curves",
    "ladder_scores",
    "measure_monotonicity",
    "ordered_pairs",
]


def measure_monotonicity(
    images: Sequence[Tensor],
    scorers: Sequence[Scorer],
    *,
    resamples: int,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compute every metric's curves on all types, ready for JSON; images are (3, H, W)."""
    scores = ladder_scores(images, scorers, seed, progress)
    panels = [
        ladder_curves(one, scorer, resamples=resamples, seed=seed)
        for one, scorer in zip(scores, scorers, strict=True)
    ]
    return {"format": 1, "images": len(images), "seed": seed, "metrics": panels}


def along_ladders(
    photos: Sequence[Tensor],
    evaluate: Callable[[Tensor], NDArray[np.float64]],
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> NDArray[np.float64]:
    """Evaluate every photo and all its distorted versions: (photos, types, LEVELS + 1, *values).

    Level 0 is the photo itself. Photo ``i`` is distorted from ``seed + i``, for every type.
    """
    found = []
    for i, photo in enumerate(photos):
        own = evaluate(photo[None])
        values = np.empty((len(DISTORTIONS), LEVELS + 1, *own.shape))
        values[:, 0] = own
        rows = {name: row for row, name in enumerate(DISTORTIONS)}
        for name, level, version in versions(photo[None], seed + i):
            values[rows[name], level] = evaluate(version)
        found.append(values)
        progress(f"ladders of {i + 1} of {len(photos)} photos")
    return np.stack(found)


def ladder_scores(
    images: Sequence[Tensor],
    scorers: Sequence[Scorer],
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> NDArray[np.float64]:
    """Compute raw scores: (scorers, images, types, LEVELS + 1); level 0 is the image itself.

    All levels of a ladder share their seed, so that they differ in strength alone.
    """

    def evaluate(image: Tensor) -> NDArray[np.float64]:
        return np.array([scorer.score_image(image) for scorer in scorers])

    return np.moveaxis(along_ladders(images, evaluate, seed, progress), -1, 0)


def ordered_pairs(scores: ArrayLike) -> NDArray[np.float64]:
    """Share of the pairs of levels whose milder level scores strictly higher; a tie is wrong.

    ``#{i < j : s_i > s_j} / (L (L - 1) / 2)`` over the L >= 2 levels of a ladder (last axis,
    mildest first); 0.5 is what a score gives that knows nothing of the level.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ValueError(f"expected at least two levels, got scores of shape {values.shape}")
    mild, severe = np.triu_indices(values.shape[-1], k=1)
    shares: NDArray[np.float64] = (values[..., mild] > values[..., severe]).mean(axis=-1)
    return shares


def ladder_curves(
    scores: NDArray[np.float64], scorer: Scorer, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Compute the mean raw score per level (95% bootstrap interval over images) and ordered shares.

    ``ordered`` is the share of level pairs in the right order, over all types and of each.
    """
    shares = ordered_pairs(scorer.sign * scores).mean(axis=0)
    n = len(scores)
    picks = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    means = np.einsum("bi,itl->btl", picks, scores)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    middle = scores.mean(axis=0)

    def rounded(values: NDArray[np.float64]) -> list[float]:
        return [float(f"{v:.5g}") for v in values]

    return {
        "name": scorer.name,
        "signature": scorer.signature,
        "lower_is_better": scorer.lower_is_better,
        "ordered": round(float(shares.mean()), 4),
        "types": [
            {
                "name": name,
                "ordered": round(float(shares[t]), 4),
                "mean": rounded(middle[t]),
                "low": rounded(low[t]),
                "high": rounded(high[t]),
            }
            for t, name in enumerate(DISTORTIONS)
        ],
    }
