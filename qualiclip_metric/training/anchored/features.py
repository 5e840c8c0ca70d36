"""Features of all draws and second moments of their changes, computed once and kept on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.draws import DrawDataset, draw_batches
from qualiclip_metric.training.anchored.pieces import Pieces
from qualiclip_metric.training.photos import Photo

SecondMoment = Float[Tensor, "channels channels"]
Sources = Mapping[str, Any]
"""Digests of the photos and of the trunk's weights."""

PIECE = 16  # batches per file
DRAW_SETTINGS = (
    "seed", "crop_size", "min_scale", "chain_share", "max_links", "max_distortions", "exclude"
)  # fmt: skip
"""Settings that a draw depends on; the photos are the rest."""
_GRADIENT_SIDE = 128  # px of the crops whose gradients are taken; their cost grows with its square
_COPIES = 24  # of a crop in one pass, each for another feature: 432 features take 18 of them


@dataclass(frozen=True)
class FeatureTable:
    """Spatial averages of the trunk's last two stages; `Draw` describes the labels."""

    pooled: Float[Tensor, "draws levels channels"]
    quality: Float[Tensor, "draws levels"]
    chained: Bool[Tensor, " draws"]
    shares: Float[Tensor, "draws faults"]
    hard: Bool[Tensor, " draws"]


def collect(
    encoder: LiteEncoder,
    photos: Sequence[Photo],
    config: AnchoredConfig,
    sources: Sources,
    folder: Path,
    progress: Callable[[int], None],
) -> FeatureTable:
    """Compute the part of the table that is not on disk yet, and return the whole."""
    pieces = Pieces(folder, _identity(config, sources, "draws", "batch_size", "hard_types"))
    piece = pieces.missing()
    done = min(config.draws, piece * PIECE * config.batch_size)
    pending: list[dict[str, Tensor]] = []
    for batch in draw_batches(photos, config, done):
        crops = batch.pop("crops")
        pending.append(batch | {"pooled": _pooled(encoder, crops)})
        done += len(crops)
        if len(pending) == PIECE or done == config.draws:
            pieces.save(piece, {k: torch.cat([b[k] for b in pending]) for k in pending[0]})
            piece, pending = piece + 1, []
        progress(done)
    return FeatureTable(**pieces.load())


def second_moment(
    kind: str,
    encoder: LiteEncoder,
    photos: Sequence[Photo],
    config: AnchoredConfig,
    sources: Sources,
    folder: Path,
) -> SecondMoment:
    """Mean of d d' over changes d of the features: a head w responds to them by w' (d d') w.

    `kind`: `gradients` with respect to the pixels, which a small attack follows, or `flips` of the
    crops, top to bottom. Draws that are finished are kept in a folder of this name.
    """
    moment, first, setting = _MOMENTS[kind]
    pieces = Pieces(folder / kind, _identity(config, sources, setting))
    draws = DrawDataset(photos, config)
    for number in range(pieces.missing(), getattr(config, setting)):
        squared = moment(encoder, draws[first + number].crops, number)
        pieces.save(number, {"squared": squared[None]})
    return pieces.load()["squared"].mean(dim=0)


def _gradients(encoder: LiteEncoder, crops: Tensor, number: int) -> SecondMoment:
    """J J' of one crop, each at another level, with J = d features / d pixels."""
    jacobian = _jacobian(encoder, crops[number % len(crops), :, :_GRADIENT_SIDE, :_GRADIENT_SIDE])
    return jacobian @ jacobian.T


def _flips(encoder: LiteEncoder, crops: Tensor, _number: int) -> SecondMoment:
    upright, flipped = _pooled(encoder, torch.stack([crops, crops.flip(2)])).double()
    change = flipped - upright  # (levels, channels)
    squared: SecondMoment = change.T @ change / len(change)
    return squared


# numbers of the first draws: far beyond those of any table
_MOMENTS = {
    "gradients": (_gradients, 10**9, "gradient_crops"),
    "flips": (_flips, 2 * 10**9, "flip_draws"),
}


def _identity(config: AnchoredConfig, sources: Sources, *settings: str) -> dict[str, Any]:
    values = config.to_dict()
    return {name: values[name] for name in (*DRAW_SETTINGS, *settings)} | dict(sources)


def _pooled(
    encoder: LiteEncoder, crops: Float[Tensor, "draws levels 3 c c"]
) -> Float[Tensor, "draws levels channels"]:
    flat = crops.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return encoder.pooled(flat).reshape(*crops.shape[:2], -1)


def _jacobian(
    encoder: LiteEncoder, crop: Float[Tensor, "3 h w"]
) -> Float[Tensor, "channels pixels"]:
    """Gradient of every feature with respect to the pixels, `_COPIES` features per backward pass.

    Images of a batch are independent. So with equal copies, the gradient of the sum of copy i's
    feature first + i, taken at copy i, is the gradient of that feature alone.
    """
    copies = crop.repeat(_COPIES, 1, 1, 1).requires_grad_()
    pooled = encoder.pooled(copies)  # (copies, channels)
    rows = [
        torch.autograd.grad(pooled[:, first:].diagonal().sum(), copies, retain_graph=True)[0]
        for first in range(0, pooled.shape[1], _COPIES)
    ]
    return torch.cat(rows).flatten(1)[: pooled.shape[1]]  # the last pass may have spare copies
