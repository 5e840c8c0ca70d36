"""Validation without a human score: does the metric order degraded photos by their level?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from qualiclip_metric import images
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, ladder
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training.anchor import ANCHORS
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import crop_pair, generator

_CROPS, _NOISE = 10, 11  # purposes of the generators, apart from those of training


@dataclass(frozen=True)
class Validation:
    """What a metric does to degraded photos; no human score is involved.

    Attributes:
        ordered: Per type, the share of the 10 pairs of levels (1 to 5) whose milder level has the
            strictly higher score, averaged over photos.
        below_pristine: Per type, the share of levels that score strictly below the pristine photo.
        levels: Per type, the mean score of the pristine photos and of levels 1 to 5.
        consistency_gap: Mean difference of the scores of two overlapping crops at one level, over
            the mean fall of the score from pristine to level 5; NaN where whole photos were scored.
        photos: How many photos were scored.
        unseen: Types that training left out.
        anchor_srcc: SRCC of the scores with a full-reference score over all degraded images, across
            photos, types and levels; NaN where none was asked for.
    """

    ordered: dict[str, float]
    below_pristine: dict[str, float]
    levels: dict[str, list[float]]
    consistency_gap: float
    photos: int
    unseen: tuple[str, ...] = ()
    anchor_srcc: float = nan

    @property
    def mean(self) -> float:
        """Mean of `ordered` over the types that training saw: what model selection uses."""
        return fmean(v for k, v in self.ordered.items() if k not in self.unseen)

    @property
    def mean_unseen(self) -> float:
        """Mean of `ordered` over the types that training left out; NaN without any."""
        return fmean(self.ordered[k] for k in self.unseen) if self.unseen else nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a log; None for what was not asked for."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "mean_unseen": self.mean_unseen,
            "least": min(self.ordered.values()),
            "consistency_gap": self.consistency_gap,
            "anchor_srcc": self.anchor_srcc,
            "photos": self.photos,
            "ordered": self.ordered,
            "below_pristine": self.below_pristine,
            "levels": self.levels,
            "unseen": list(self.unseen),
        }
        return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values.items()}


def validate(
    metric: QualiCLIP,
    paths: Sequence[str | Path],
    *,
    crop_size: int | None = None,
    seed: int = 0,
    types: Iterable[str] = tuple(DISTORTIONS),
    unseen: Sequence[str] = (),
    anchor: str = "none",
    progress: Callable[[int], None] | None = None,
) -> Validation:
    """Score photos at every level of every type.

    Args:
        metric: The metric, as it is.
        paths: Pristine photos, best kept out of training.
        crop_size: Score two overlapping crops of this side instead of the whole photo.
        seed: Of crops and distortions.
        types: Distortion types.
        unseen: Types that training left out.
        anchor: Full-reference score for `Validation.anchor_srcc`, a key of `anchor.ANCHORS`.
        progress: Called with the number of photos done.

    Raises:
        ValueError: Without photos.
        ImageError: When a photo cannot be read.
    """
    if not paths:
        raise ValueError("validation: expected at least one pristine photo, got none")
    scores: dict[str, list[Tensor]] = {name: [] for name in types}
    pairs: list[Tensor] = []  # (2, n): score, full-reference score
    for number, path in enumerate(paths):
        img = _prepare(images.read(path), crop_size, seed, number).to(metric.device)
        with torch.inference_mode():
            pristine = metric(img)[None, :, 0]
            for name, per_type in scores.items():
                steps = ladder(img, name, generator(seed, number, _NOISE))
                per_type.append(torch.cat([pristine, _score(metric, steps)]).cpu())
                if anchor != "none":
                    quality = ANCHORS[anchor](steps.flatten(0, 1), img.repeat(LEVELS, 1, 1, 1))
                    pairs.append(torch.stack([per_type[-1][1:].flatten(), quality.cpu()]))
        if progress is not None:
            progress(number + 1)
    stacked = {name: torch.stack(per_type) for name, per_type in scores.items()}
    return Validation(
        ordered={name: _ordered(s[:, 1:]) for name, s in stacked.items()},
        below_pristine={
            name: (s[:, 1:] < s[:, :1]).float().mean().item() for name, s in stacked.items()
        },
        levels={name: s.mean(dim=(0, 2)).tolist() for name, s in stacked.items()},
        consistency_gap=_gap(torch.cat(list(stacked.values()))),
        photos=len(paths),
        unseen=tuple(unseen),
        anchor_srcc=float(spearmanr(*torch.cat(pairs, 1).numpy()).statistic) if pairs else nan,
    )


def _prepare(
    img: Float[Tensor, "3 h w"], crop_size: int | None, seed: int, number: int
) -> Float[Tensor, "n 3 h2 w2"]:
    if crop_size is None:
        return img[None]
    config = TrainConfig(crop_size=crop_size)
    return crop_pair(img, config, generator(seed, number, _CROPS))


def _score(metric: QualiCLIP, steps: Float[Tensor, "levels n 3 h w"]) -> Float[Tensor, "levels n"]:
    scores: Tensor = metric(steps.flatten(0, 1))[:, 0]
    return scores.reshape(steps.shape[:2])


def _ordered(scores: Float[Tensor, "photos levels n"]) -> float:
    """Share of level pairs in which the milder one has the strictly higher score."""
    milder = scores[:, :, None] > scores[:, None]  # (photos, i, j, n): level i beats level j
    pairs = torch.ones(LEVELS, LEVELS).triu(1).bool()
    return milder[:, pairs].float().mean().item()


def _gap(scores: Float[Tensor, "photos levels n"]) -> float:
    if scores.shape[2] < 2:
        return nan
    fall = (scores[:, 0] - scores[:, -1]).mean()
    return float((scores[..., 0] - scores[..., 1]).abs().mean() / fall)
