"""Validation that tracks people: does the metric order different photos as full-reference ones do?

Ordering the levels of one photo says little of agreement with people (rank correlation .2 over
variants of `lite`). Ordering different photos at one level of chains, where each has faults of its
own, says much more (.8): people see photos of different contents, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from qualiclip_metric.distortions import LEVELS, chain_ladder, draw_chain
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training import photos
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import crop_pair, generator
from qualiclip_metric.training.photos import Photo

_CROPS, _CHAIN, _NOISE = 50, 51, 52  # purposes of the generators


@dataclass(frozen=True)
class AcrossContents:
    """Agreement with full-reference quality across contents.

    Attributes:
        srcc: Mean over levels of `by_level`.
        by_level: SRCC over all crops of a level, 1 to 5.
        crops: Crops per level.
    """

    srcc: float
    by_level: tuple[float, ...]
    crops: int


def across_contents(
    metric: QualiCLIP,
    paths: Sequence[str | Photo],
    *,
    crop_size: int = 224,
    per_photo: int = 4,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> AcrossContents:
    """SRCC within a level, across contents, with the mean rank of full-reference metrics.

    Every photo gives crops, each degraded by a random chain of its own; MDSI, HaarPSI, VIF and
    MS-GMSD (piq) compare each level with the undegraded crop, and the mean of their ranks among
    all crops is what the scores are correlated with.

    Args:
        metric: The metric.
        paths: Pristine photos that training has not seen.
        crop_size: Side of the crops, px.
        per_photo: Crops of each photo.
        seed: Of crops and chains.
        progress: Called with the number of photos done.

    Raises:
        ValueError: With fewer than two photos.
        ImportError: When piq is missing, with the cure.
    """
    if len(paths) < 2:
        raise ValueError(f"across contents: expected at least two photos, got {len(paths)}")
    config, scores, quality = TrainConfig(crop_size=crop_size, min_scale=0.5), [], []
    for number, path in enumerate(paths):
        photo = photos.read(path)
        for place in range(number * per_photo, (number + 1) * per_photo):
            crop = crop_pair(photo, config, generator(seed, place, _CROPS))[:1]
            chain = draw_chain(generator(seed, place, _CHAIN))
            steps = chain_ladder(crop, chain, generator(seed, place, _NOISE))[:, 0]
            with torch.inference_mode():
                scores.append(metric(steps.to(metric.device))[:, 0].cpu())
            quality.append(full_reference(steps, crop.expand_as(steps)))
        if progress is not None:
            progress(number + 1)
    wanted = _mean_rank(torch.stack(quality))
    said = torch.stack(scores).numpy()
    by_level = tuple(
        float(spearmanr(said[:, level], wanted[:, level]).statistic) for level in range(LEVELS)
    )
    return AcrossContents(float(np.mean(by_level)), by_level, len(said))


def full_reference(
    img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 4"]:
    """MDSI, HaarPSI, VIF and MS-GMSD, each turned so that higher is better.

    Args:
        img: Degraded images, RGB in [0, 1], at least 161x161 for MS-GMSD.
        reference: Their originals.

    Raises:
        ImportError: When piq is missing, with the cure.
    """
    try:
        import piq
    except ImportError as err:
        raise ImportError(
            "full-reference metrics need piq: pip install 'qualiclip-metric[train]'"
        ) from err
    with torch.no_grad():
        values = (
            -piq.mdsi(img, reference, data_range=1.0, reduction="none"),
            piq.haarpsi(img, reference, data_range=1.0, reduction="none"),
            piq.vif_p(img, reference, data_range=1.0, reduction="none"),
            -piq.multi_scale_gmsd(img, reference, data_range=1.0, reduction="none"),
        )
        return torch.stack([value.flatten().float() for value in values], dim=1)


def _mean_rank(quality: Float[Tensor, "crops levels metrics"]) -> Float[np.ndarray, "crops levels"]:
    flat = quality.flatten(0, 1).double().numpy()
    mean: Float[np.ndarray, "crops levels"] = rankdata(flat, axis=0).mean(axis=1)
    return mean.reshape(quality.shape[:2])
