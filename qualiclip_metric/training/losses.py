"""The ranking losses on similarities, and their weighted sum.

They take cosine similarities s, not the softmax probability (arXiv 2403.11176, section 3.2):
``(photos, 2 crops, levels, prompt pairs)``, levels from mild to strong. ``reduction`` combines the
hinges (over levels and crops) of one photo and prompt pair: ``sum`` as the paper states the losses,
or ``mean``, so that a learning rate stays right when the number of levels changes. Photos and
prompt pairs are always averaged.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.training.config import TrainConfig

Similarity = Float[Tensor, "photos 2 levels pairs"]
Loss = Float[Tensor, ""]


def consistency_loss(similarity: Similarity, margin: float, reduction: str = "sum") -> Loss:
    """Penalise crops of one photo and level that are not equally similar to a prompt.

    For each photo and prompt, with s(k, i) the similarity of crop k at level i, (B, 2, L, P)
    (arXiv 2403.11176, section 3.2, quality-aware consistency):

        sum over i of max(0, |s(1, i) - s(2, i)| - margin)
    """
    gap = (similarity[:, 0] - similarity[:, 1]).abs()  # (B, L, P)
    return _reduce((gap - margin).clamp_min(0), dim=1, reduction=reduction)


def ranking_loss(
    better: Similarity, margin: float, reduction: str = "sum", cross_crop: bool = True
) -> Loss:
    """Penalise a level that is not more similar than each stronger one, by a margin.

    For each photo and positive prompt (arXiv 2403.11176, section 3.2):

        sum over levels i milder than j, over crops k and l, of max(0, s(k, j) - s(l, i) + margin)

    `better` holds similarities that should fall with the level, (B, 2, L, P): s of the positive
    prompt, -s of the negative one. `cross_crop`: the two levels may come from different crops.
    """
    crops, levels = better.shape[1:3]
    mild = better[:, None, :, None, :]  # (B, 1, l, 1, i, P)
    strong = better[:, :, None, :, None]  # (B, k, 1, j, 1, P)
    hinge = (strong - mild + margin).clamp_min(0)  # (B, k, l, j, i, P)
    later = torch.ones(levels, levels, device=better.device).tril(-1).bool()  # j > i
    terms = hinge[:, :, :, later]  # (B, k, l, pairs of levels, P)
    if not cross_crop:
        terms = terms[:, range(crops), range(crops)]
    return _reduce(terms.flatten(1, -2), dim=1, reduction=reduction)


def ranking_losses(
    similarity: Float[Tensor, "photos 2 levels pairs 2"], config: TrainConfig
) -> dict[str, Loss]:
    """Compute the weighted losses of a batch by name; the positive prompt comes first."""
    # The negative prompt's similarity should grow with the level: with its sign turned, both
    # prompts take the same losses.
    positive, negative = similarity[..., 0], -similarity[..., 1]
    options = (config.margin_rank, config.reduction, config.cross_crop)
    consistency = [
        consistency_loss(s, config.margin_consistency, config.reduction)
        for s in (positive, negative)
    ]
    return {
        "consistency": config.weight_consistency * torch.stack(consistency).sum(),
        "positive": config.weight_positive * ranking_loss(positive, *options),
        "negative": config.weight_negative * ranking_loss(negative, *options),
    }


def _reduce(terms: Tensor, dim: int, reduction: str) -> Loss:
    """Sum or mean over one dimension, mean over the others."""
    per_photo = terms.sum(dim) if reduction == "sum" else terms.mean(dim)
    return per_photo.mean()
