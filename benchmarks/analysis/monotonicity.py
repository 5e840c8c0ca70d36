"""How scores move with distortion level: every metric on every type's ladder.

Knows the package's distortions and image tensors. Must not know HTML or score files.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, distort

__all__ = ["Subject", "curves", "ladder_scores", "measure", "ordered_share"]

Floats = NDArray[np.float64]


class Subject(Protocol):
    """A metric under test; `benchmarks.metrics.scorer.Scorer` is one."""

    @property
    def name(self) -> str:
        """Name in the report."""

    @property
    def signature(self) -> str:
        """All that its numbers depend on."""

    @property
    def lower_is_better(self) -> bool:
        """Its direction."""

    @property
    def score(self) -> Callable[[Tensor], Tensor] | None:
        """``(1, 3, H, W) -> (1,)`` raw scores."""

    @property
    def device(self) -> torch.device:
        """Where images go."""


def measure(
    images: Sequence[Tensor],
    subjects: Sequence[Subject],
    *,
    draws: int,
    seed: int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The panel's data, ready for JSON: every subject's curves on all types.

    Args:
        images: ``(3, H, W)`` RGB in [0, 1], undistorted.
        subjects: The metrics.
        draws: Bootstrap samples of the images.
        seed: Of the distortions and the bootstrap.
        tell: Told about progress.
    """
    scores = ladder_scores(
        images, subjects, seed, lambda done: tell(f"ladders of {done} of {len(images)} images")
    )
    panels = [
        curves(one, subject, draws=draws, seed=seed)
        for one, subject in zip(scores, subjects, strict=True)
    ]
    return {"format": 1, "images": len(images), "seed": seed, "metrics": panels}


def ladder_scores(
    images: Sequence[Tensor],
    subjects: Sequence[Subject],
    seed: int,
    tell: Callable[[int], None] = lambda done: None,
) -> Floats:
    """Raw scores of every subject on every image, type and level.

    Args:
        images: ``(3, H, W)`` RGB in [0, 1], undistorted.
        subjects: The metrics.
        seed: The same for all levels of a ladder, so that levels differ in strength alone.
        tell: Called with the number of finished images.

    Returns:
        ``(subjects, images, types, LEVELS + 1)``; level 0 is the image itself.
    """
    scores = np.empty((len(subjects), len(images), len(DISTORTIONS), LEVELS + 1))
    for i, image in enumerate(images):
        scores[:, i, :, 0] = _score(subjects, image[None])[:, None]
        for t, name in enumerate(DISTORTIONS):
            for level in range(1, LEVELS + 1):
                rng = torch.Generator().manual_seed(seed + i)
                worse = distort(image[None], name, level, rng)
                scores[:, i, t, level] = _score(subjects, worse)
        tell(i + 1)
    return scores


def _score(subjects: Sequence[Subject], image: Tensor) -> Floats:
    values = []
    for subject in subjects:
        if subject.score is None:
            raise ValueError(f"{subject.name} is a table: it cannot score distorted images")
        values.append(float(subject.score(image.to(subject.device)).flatten()[0]))
    return np.array(values)


def ordered_share(scores: Floats) -> Floats:
    """Share of level pairs in the right order, a tie being wrong.

    Args:
        scores: ``(images, types, levels)``, higher is better, mildest level first.

    Returns:
        ``(types,)`` shares over all images and pairs of levels.
    """
    low, high = np.triu_indices(scores.shape[-1], k=1)
    shares: Floats = (scores[..., low] > scores[..., high]).mean(axis=(0, 2))
    return shares


def curves(scores: Floats, subject: Subject, *, draws: int, seed: int) -> dict[str, Any]:
    """Mean score per level with its 95% bootstrap interval over images, and ordered shares.

    Args:
        scores: ``(images, types, levels)`` raw scores of the subject.
        subject: Whose they are.
        draws: Bootstrap samples of the images.
        seed: Of the bootstrap.
    """
    turned = -scores if subject.lower_is_better else scores
    shares = ordered_share(turned)
    n = len(scores)
    picks = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws) / n
    means = np.einsum("bi,itl->btl", picks, scores)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    middle = scores.mean(axis=0)

    def rounded(values: Floats) -> list[float]:
        return [float(f"{v:.5g}") for v in values]

    return {
        "name": subject.name,
        "signature": subject.signature,
        "lower_is_better": subject.lower_is_better,
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
