"""Validation across contents: does the metric order different photos as full-reference ones do?

How well a model orders the levels of one photo hardly predicts its agreement with people (rank
correlation .2 over variants of `lite`). How well it orders different photos at one level of chains,
each with other faults, does (.8): people compare photos of different contents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata, spearmanr

from qualiclip_metric.distortions import LEVELS, chain_ladder, draw_chain
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training import photos
from qualiclip_metric.training.data import crop_pair, generator
from qualiclip_metric.training.full_reference import four_metrics
from qualiclip_metric.training.photos import Photo

CROP_SIZE = 224
_CROPS, _CHAIN, _NOISE = 50, 51, 52  # purposes of the generators


@dataclass(frozen=True)
class AcrossContents:
    """Mean SRCC over levels, SRCC over all crops of each level (1 to 5), and crops per level."""

    srcc: float
    by_level: tuple[float, ...]
    crops: int


def across_contents(
    metric: QualiCLIP,
    paths: Sequence[str | Photo],
    *,
    per_photo: int = 4,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> AcrossContents:
    """Compute SRCC within a level, across contents, with full-reference metrics' mean rank.

    Each pristine photo gives `per_photo` crops, each degraded by another random chain. MDSI,
    HaarPSI, VIF and MS-GMSD (piq) compare each level with the undegraded crop; the scores are
    correlated with the mean of these metrics' ranks among all crops. `progress` gets the number of
    photos done. Raises ValueError for fewer than two photos.
    """
    if len(paths) < 2:
        raise ValueError(f"across contents: expected at least two photos, got {len(paths)}")
    scores, quality = [], []
    for number, path in enumerate(paths):
        photo = photos.read(path)
        for draw in range(number * per_photo, (number + 1) * per_photo):
            rng = generator(seed, draw, _CROPS)
            crop = crop_pair(photo, CROP_SIZE, rng, min_scale=0.5)[:1]  # (1, 3, c, c)
            chain = draw_chain(generator(seed, draw, _CHAIN))
            steps = chain_ladder(crop, chain, generator(seed, draw, _NOISE))[:, 0]  # (5, 3, c, c)
            with torch.inference_mode():
                scores.append(metric(steps.to(metric.device))[:, 0].cpu())
            quality.append(four_metrics(steps, crop.expand_as(steps)))
        if progress is not None:
            progress(number + 1)
    # rank all crops of all levels by each metric, and average the ranks
    flat = torch.stack(quality).flatten(0, 1).double().numpy()  # (crops * levels, metrics)
    expected = rankdata(flat, axis=0).mean(axis=1).reshape(-1, LEVELS)  # (crops, levels)
    found = torch.stack(scores).numpy()  # (crops, levels)
    by_level = tuple(
        float(spearmanr(found[:, level], expected[:, level]).statistic) for level in range(LEVELS)
    )
    return AcrossContents(float(np.mean(by_level)), by_level, len(found))
