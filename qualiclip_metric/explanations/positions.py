"""The exact local map of `lite`: the score and the weight of each position of its grid."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.metric import QualiCLIP, cosine, pair_probabilities
from qualiclip_metric.resize import reduced


def has_positions(metric: QualiCLIP) -> bool:
    """Whether a metric's encoder averages over positions, so that it has these maps."""
    return isinstance(metric.encoder, LiteEncoder)


def positions(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """1 less the score of each position alone, in units of the score, not stretched.

    `lite` averages its features over positions, so the features of one position give a score of its
    own, exactly and from the forward pass that scores the image.
    """
    scores, _ = position_scores(metric, img, pairs)
    return interpolate(1 - scores, size=img.shape[2:], mode="bilinear")


def shares(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """Each position's weight times 1 less its score, over the largest of the image."""
    scores, weight = position_scores(metric, img, pairs)
    part = weight * (1 - scores)
    part = part / part.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(part.dtype).tiny)
    return interpolate(part, size=img.shape[2:], mode="bilinear")


def position_scores(
    metric: QualiCLIP, img: Tensor, pairs: Sequence[int]
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
    """Compute score and weight of every position of `lite`'s grid, 1/32 of the scoring size."""
    encoder = metric.encoder
    if not isinstance(encoder, LiteEncoder):
        raise ValueError(
            "method: positions and shares need an encoder that averages over positions, lite; "
            "local works with any"
        )
    weight, features = encoder.places(encoder.maps(reduced(img, metric.scoring_size)))
    # (n, rows, columns, dim) -> one feature vector per position, against (pairs, 2, dim) prompts
    similar = cosine(features.flatten(0, 2), metric.prompts[list(pairs)])
    scores = pair_probabilities(similar, metric.logit_scale / metric.temperature).mean(dim=1)
    return scores.reshape(weight.shape)[:, None], weight[:, None]
