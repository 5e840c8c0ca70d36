"""Draws, their features and second moments of their changes, computed once and kept on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.images import to_uint8
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
_DRAWS_AT_ONCE = 8
_COPIES = 24  # of a crop in one pass, each for another feature: 432 features take 18 of them


@dataclass(frozen=True)
class FeatureTable:
    """Spatial averages of the trunk's last two stages; `Draw` describes the labels."""

    pooled: Float[Tensor, "draws levels channels"]
    quality: Float[Tensor, "draws levels"]
    chained: Bool[Tensor, " draws"]
    composed: Bool[Tensor, " draws"]
    shares: Float[Tensor, "draws faults"]
    hard: Bool[Tensor, " draws"]


class StoredDraws:
    """All draws of a run on disk, with crops in 8 bits: computed once, then read at random."""

    def __init__(
        self,
        photos: Sequence[Photo],
        config: AnchoredConfig,
        sources: Sources,
        folder: Path,
        progress: Callable[[int], None],
    ) -> None:
        """Compute the draws that are not on disk yet."""
        counts = ("draws", "composed_draws", "batch_size", "hard_types")
        self.pieces = Pieces(folder, _identity(config, sources, *counts))
        self.rows = PIECE * config.batch_size  # draws per piece; the last one may have fewer
        piece = self.pieces.missing()
        done = min(config.all_draws, piece * self.rows)
        pending: list[dict[str, Tensor]] = []
        for batch in draw_batches(photos, config, done):
            pending.append(batch | {"crops": to_uint8(batch["crops"])})
            done += len(batch["crops"])
            if len(pending) == PIECE or done == config.all_draws:
                self.pieces.save(piece, {k: torch.cat([b[k] for b in pending]) for k in pending[0]})
                piece, pending = piece + 1, []
            progress(done)
        self.labels = self.pieces.load(without="crops")

    def __len__(self) -> int:
        return len(self.labels["quality"])

    def crops(self, first: int, count: int = 1) -> Float[Tensor, "count levels 3 c c"]:
        """Crops of `count` draws of one piece, from number `first` on."""
        piece, row = divmod(first, self.rows)
        return self.pieces.rows(piece, "crops", slice(row, row + count)).float() / 255


def collect(
    encoder: LiteEncoder,
    draws: StoredDraws,
    sources: Sources,
    folder: Path,
    progress: Callable[[int], None],
) -> FeatureTable:
    """Compute the features that are not on disk yet, and return the whole table.

    `sources` tells the trunk's weights from others.
    """
    pieces = Pieces(folder, {**draws.pieces.identity, **sources})
    for piece in range(pieces.missing(), -(-len(draws) // draws.rows)):
        first = piece * draws.rows
        last = min(first + draws.rows, len(draws))
        parts = [
            _pooled(encoder, draws.crops(number, min(_DRAWS_AT_ONCE, last - number)))
            for number in range(first, last, _DRAWS_AT_ONCE)
        ]
        pieces.save(piece, {"pooled": torch.cat(parts)})
        progress(last)
    return FeatureTable(**pieces.load(), **draws.labels)


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
