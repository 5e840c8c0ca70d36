"""Monotonicity: how scores move along the ladder of levels of every distortion type."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.metrics.scorer import Scorer
from benchmarks.stats.ordering import ordered_pairs
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, versions

__all__ = ["along_ladders", "ladder_curves", "ladder_scores", "measure_monotonicity"]


def measure_monotonicity(
    images: Sequence[Tensor],
    scorers: Sequence[Scorer],
    *,
    resamples: int,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The panel's data, ready for JSON: every metric's curves on all types.

    Args:
        images: (3, H, W) RGB in [0, 1], undistorted.
        scorers: The metrics; none a table.
        resamples: Bootstrap samples of the images.
        seed: Of the distortions and the bootstrap.
        progress: Receives a line of text after each image.

    Returns:
        ``format``, ``images``, ``seed``, and ``metrics``: what `ladder_curves` gives for each.
    """
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
    """Values of every photo and of all its distorted versions.

    Args:
        photos: (3, H, W) RGB in [0, 1], undistorted.
        evaluate: (1, 3, H, W) -> values of one shape for every image.
        seed: Photo ``i`` is distorted from the seed ``seed + i``, the same for every type.
        progress: Receives a line of text after each photo.

    Returns:
        (photos, types, LEVELS + 1, *shape of the values); level 0 is the photo itself.
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
    """Raw scores of every metric on every image, type and level.

    Args:
        images: (3, H, W) RGB in [0, 1], undistorted.
        scorers: The metrics; none a table.
        seed: The same for all levels of a ladder, so that levels differ in strength alone.
        progress: Receives a line of text after each image.

    Returns:
        (scorers, images, types, LEVELS + 1); level 0 is the image itself.

    Raises:
        MetricError: One of the metrics is a table.
    """

    def evaluate(image: Tensor) -> NDArray[np.float64]:
        return np.array([scorer.score_image(image) for scorer in scorers])

    return np.moveaxis(along_ladders(images, evaluate, seed, progress), -1, 0)


def ladder_curves(
    scores: NDArray[np.float64], scorer: Scorer, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Mean score per level with its 95% bootstrap interval over images, and ordered shares.

    Args:
        scores: (images, types, levels) raw scores of the metric.
        scorer: Whose they are.
        resamples: Bootstrap samples of the images.
        seed: Of the bootstrap.

    Returns:
        ``name``, ``signature``, ``lower_is_better``, ``ordered`` (share of level pairs in order,
        over all types), and ``types``: per type its ``name``, ``ordered``, and ``mean``, ``low``
        and ``high`` of the raw score per level.
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
