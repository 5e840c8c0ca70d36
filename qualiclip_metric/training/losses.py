"""The ranking losses on similarities.

All of them take cosine similarities s, not the softmax probability (arXiv 2403.11176, section 3.2):
``(photos, 2 crops, levels, prompt pairs)``, levels from mild to strong. ``reduction`` says what is
done with the terms of one photo and prompt pair, the hinges over levels and crops: their ``sum``,
as the method is stated, or their ``mean``, which keeps the learning rate's meaning when the number
of levels changes. Photos and prompt pairs are always averaged.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Similarity = Float[Tensor, "photos 2 levels pairs"]
Loss = Float[Tensor, ""]


def consistency_loss(similarity: Similarity, margin: float, reduction: str = "sum") -> Loss:
    """Crops of one photo at one level should be equally similar to a prompt.

    For each photo and prompt, with s(k, i) the similarity of crop k at level i
    (arXiv 2403.11176, section 3.2, quality-aware consistency):

        sum over i of max(0, |s(1, i) - s(2, i)| - margin)

    Args:
        similarity: To one of the two prompts, (B, 2, L, P).
        margin: Difference of cosines that costs nothing.
        reduction: ``sum`` or ``mean`` over the levels.

    Returns:
        Scalar, 0 or more.
    """
    gap = (similarity[:, 0] - similarity[:, 1]).abs()  # (B, L, P)
    return _reduce((gap - margin).clamp_min(0), dim=1, reduction=reduction)


def ranking_loss(
    better: Similarity, margin: float, reduction: str = "sum", cross_crop: bool = True
) -> Loss:
    """What is less degraded should be more similar, by a margin.

    For each photo and positive prompt (arXiv 2403.11176, section 3.2):

        sum over levels i milder than j, over crops k and l, of max(0, s(k, j) - s(l, i) + margin)

    The loss of the negative prompt is the same with the sign of s turned: pass -s.

    Args:
        better: Similarity that should fall with the level, (B, 2, L, P).
        margin: How far apart two levels should be.
        reduction: ``sum`` or ``mean`` over the terms.
        cross_crop: Whether the two levels may come from different crops.

    Returns:
        Scalar, 0 or more.
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


def anchor_loss(
    better: Float[Tensor, "crops pairs"],
    reference: Float[Tensor, " crops"],
    margin: float,
    gap: float,
) -> Loss:
    """Crops should be ordered as a full-reference score orders them, across types and contents.

    An addition of ours to the method: the full-reference score q of each degraded crop against its
    own pristine crop involves no human and tells strengths of different types apart, which the bare
    level cannot.

        mean over all u, v with q(u) > q(v) + gap of max(0, s(v) - s(u) + margin)

    Args:
        better: Similarity that should fall with degradation, (N, P).
        reference: Full-reference quality, higher is better, (N,).
        margin: As in `ranking_loss`.
        gap: Pairs that are closer than this are not compared.

    Returns:
        Scalar, 0 or more; 0 where no pair is far enough apart.
    """
    ordered = reference[:, None] > reference[None, :] + gap  # (u, v): u is better than v
    hinge = (better[None, :] - better[:, None] + margin).clamp_min(0)  # (u, v, P)
    return (hinge.mean(dim=-1) * ordered).sum() / ordered.sum().clamp_min(1)


def _reduce(terms: Tensor, dim: int, reduction: str) -> Loss:
    """Sum or mean over one dimension, mean over what remains."""
    per_photo = terms.sum(dim) if reduction == "sum" else terms.mean(dim)
    return per_photo.mean()
