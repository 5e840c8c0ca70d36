"""Validation without a human score: does the metric order degraded photos by their level?"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, ladder
from qualiclip_metric.images import ImageError
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training.data import crop_pair, generator
from qualiclip_metric.training.photos import Photo, read

_CROPS, _NOISE = 10, 11  # purposes of the generators, apart from those of training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """How well a metric orders degraded photos; no human score is involved.

    Attributes:
        ordered: Per type, the share of the 10 pairs of levels (1 to 5) whose milder level has the
            strictly higher score, averaged over photos.
        below_pristine: Per type, the share of levels that score strictly below the pristine photo.
        levels: Per type, the mean score of the pristine photos and of levels 1 to 5.
        consistency_gap: Mean difference of the scores of two overlapping crops at one level, over
            the mean fall of the score from pristine to level 5; NaN where whole photos were scored.
        photos: How many photos were scored.
        unseen: Types that training left out.
        skipped: How many photos were left out because they cannot be read.
    """

    ordered: dict[str, float]
    below_pristine: dict[str, float]
    levels: dict[str, list[float]]
    consistency_gap: float
    photos: int
    unseen: tuple[str, ...] = ()
    skipped: int = 0

    @property
    def mean(self) -> float:
        """Mean of `ordered` over the types that training saw; it selects the model."""
        return fmean(v for k, v in self.ordered.items() if k not in self.unseen)

    @property
    def mean_unseen(self) -> float:
        """Mean of `ordered` over the types that training left out; NaN without any."""
        return fmean(self.ordered[k] for k in self.unseen) if self.unseen else nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a log; None for NaN."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "mean_unseen": self.mean_unseen,
            "least": min(self.ordered.values()),
            **asdict(self),
            "unseen": list(self.unseen),
        }
        return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values.items()}


PhotoScores = tuple[int, dict[str, Tensor]]
"""Number of a photo, which its crops and noise follow from, and by type the scores of pristine and
levels 1 to 5, (6, crops)."""


def validate(
    metric: QualiCLIP,
    paths: Sequence[str | Photo],
    *,
    crop_size: int | None = None,
    seed: int = 0,
    types: Iterable[str] = tuple(DISTORTIONS),
    unseen: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Validation:
    """Score photos at every level of every type; warn and leave out unreadable ones.

    Args:
        metric: The metric.
        paths: Pristine photos, best kept out of training.
        crop_size: Score two overlapping crops of this side instead of the whole photo.
        seed: Of crops and distortions.
        types: Distortion types.
        unseen: Types that training left out.
        progress: Called with the number of photos done.

    Raises:
        ValueError: Without photos, or when none of them can be read.
    """
    numbered = list(enumerate(paths))
    scored = score_photos(
        metric, numbered, crop_size=crop_size, seed=seed, types=types, progress=progress
    )
    return summarise(scored, len(numbered), unseen)


def score_photos(
    metric: QualiCLIP,
    photos: Sequence[tuple[int, str | Photo]],
    *,
    crop_size: int | None,
    seed: int,
    types: Iterable[str] = tuple(DISTORTIONS),
    progress: Callable[[int], None] | None = None,
) -> list[PhotoScores]:
    """Score a part of the photos, as one of several processes does; `summarise` joins the parts.

    `photos` are positions among all photos, and paths. A warning names each that cannot be read.
    """
    names, scored = tuple(types), []
    for done, (number, path) in enumerate(photos, start=1):
        try:
            img = read(path)[None]
        except ImageError as err:
            log.warning("left out of validation: %s", err)
        else:
            if crop_size is not None:
                img = crop_pair(img[0], crop_size, generator(seed, number, _CROPS))
            scores = _score_photo(metric, img.to(metric.device), number, seed, names)
            scored.append((number, scores))
        if progress is not None:
            progress(done)
    return scored


@torch.inference_mode()
def _score_photo(
    metric: QualiCLIP, img: Float[Tensor, "n 3 h w"], number: int, seed: int, types: Sequence[str]
) -> dict[str, Tensor]:
    pristine = metric(img)[None, :, 0]
    scores = {}
    for name in types:
        levels = ladder(img, name, generator(seed, number, _NOISE))  # (5, n, 3, h, w)
        worse = metric(levels.flatten(0, 1))[:, 0].reshape(levels.shape[:2])
        scores[name] = torch.cat([pristine, worse]).cpu()
    return scores


def summarise(photos: Sequence[PhotoScores], total: int, unseen: Sequence[str] = ()) -> Validation:
    """Compute the figures of a validation from scores of photos in any order.

    `total` counts unreadable photos as well. Raises ValueError when none could be read.
    """
    if not photos:
        found = f"none of {total} can be read" if total else "got none"
        raise ValueError(f"validation: expected at least one pristine photo, {found}")
    in_order = [scores for _, scores in sorted(photos, key=lambda photo: photo[0])]
    scores = {name: torch.stack([one[name] for one in in_order]) for name in in_order[0]}
    return Validation(
        ordered={name: _ordered(s[:, 1:]) for name, s in scores.items()},
        below_pristine={
            name: (s[:, 1:] < s[:, :1]).float().mean().item() for name, s in scores.items()
        },
        levels={name: s.mean(dim=(0, 2)).tolist() for name, s in scores.items()},
        consistency_gap=_gap(torch.cat(list(scores.values()))),
        photos=len(photos),
        skipped=total - len(photos),
        unseen=tuple(unseen),
    )


def _ordered(scores: Float[Tensor, "photos levels n"]) -> float:
    """Share of level pairs whose milder level has the strictly higher score."""
    milder = scores[:, :, None] > scores[:, None]  # (photos, i, j, n): level i beats level j
    pairs = torch.ones(LEVELS, LEVELS).triu(1).bool()
    return milder[:, pairs].float().mean().item()


def _gap(scores: Float[Tensor, "photos levels n"]) -> float:
    if scores.shape[2] < 2:
        return nan
    fall = (scores[:, 0] - scores[:, -1]).mean()
    return float((scores[..., 0] - scores[..., 1]).abs().mean() / fall)
