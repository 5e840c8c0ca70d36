"""What a run minimises: the losses that its config asks for, with their weights."""

import torch
from torch import Tensor

from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.losses import anchor_loss, consistency_loss, ranking_loss


def ranking_losses(
    similarity: Tensor,
    reference: Tensor | None,
    config: TrainConfig,
) -> dict[str, Tensor]:
    """The weighted losses of a batch, as docs/guide/train.md states them.

    Args:
        similarity: Cosines, (photos, 2 crops, levels, pairs, 2), positive prompt first.
        reference: Full-reference quality of the first crops, (photos, levels), for the anchor.
        config: Margins and weights.

    Returns:
        Scalars by name; their sum is what is minimised.
    """
    positive, negative = similarity[..., 0], -similarity[..., 1]
    options = (config.margin_rank, config.reduction, config.cross_crop)
    both = (positive, negative)
    consistency = [consistency_loss(s, config.margin_consistency, config.reduction) for s in both]
    losses = {
        "consistency": config.weight_consistency * torch.stack(consistency).sum(),
        "positive": config.weight_positive * ranking_loss(positive, *options),
        "negative": config.weight_negative * ranking_loss(negative, *options),
    }
    if reference is not None:
        flat = reference.flatten().to(similarity.device)
        anchor = [
            anchor_loss(s[:, 0].flatten(0, 1), flat, config.margin_anchor, config.gap_anchor)
            for s in both
        ]
        losses["anchor"] = config.weight_anchor * torch.stack(anchor).sum()
    return losses
