"""Features of all draws, computed once, and the gradients that make a head smooth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.groups import Groups, batches
from qualiclip_metric.training.photos import Photo
from qualiclip_metric.training.pieces import Pieces

PIECE = 16  # batches per file
SETTINGS = (
    "seed batch_size draws crop_size min_scale chain_share max_links max_distortions exclude "
    "hard_types"
).split()
"""What a table depends on, besides photos and pretrained weights."""
_GRADIENT_SIDE = 128  # px of the crops whose gradients are taken
_COPIES = 24  # of a crop at once, each for a feature of its own
_FIRST_GRADIENT = 10**9  # draw number, far behind those of any table
_FIRST_FLIP = 2 * 10**9


@dataclass(frozen=True)
class Table:
    """What `fit` learns from; `Group` says what the columns are.

    Attributes:
        pooled: Spatial averages of the trunk's last two stages.
    """

    pooled: Float[Tensor, "draws levels channels"]
    quality: Float[Tensor, "draws levels"]
    chained: Bool[Tensor, " draws"]
    shares: Float[Tensor, "draws faults"]
    hard: Bool[Tensor, " draws"]


def collect(
    encoder: LiteEncoder,
    photos: Sequence[Photo],
    config: AnchoredConfig,
    sources: Mapping[str, Any],
    folder: Path,
    progress: Callable[[int], None],
) -> Table:
    """The table, of which only what is missing on disk is computed.

    Args:
        encoder: Its frozen trunk computes the features.
        photos: Pristine photos.
        config: Settings.
        sources: Digests of the photos and of the start, so that no other table is gone on with.
        folder: Of the table.
        progress: Called with the number of draws done.

    Raises:
        ValueError: When the folder holds a table of other settings, photos or weights.
    """
    pieces = Pieces(folder, {k: config.to_dict()[k] for k in SETTINGS} | dict(sources))
    piece = pieces.missing()
    done = min(config.draws, piece * PIECE * config.batch_size)
    pending: list[dict[str, Tensor]] = []
    for batch in batches(photos, config, done):
        crops = batch.pop("crops")
        pending.append(batch | {"pooled": _pooled(encoder, crops)})
        done += len(crops)
        if len(pending) == PIECE or done == config.draws:
            pieces.save(piece, {k: torch.cat([b[k] for b in pending]) for k in pending[0]})
            piece, pending = piece + 1, []
        progress(done)
    return Table(**pieces.load())


def pixel_gradients(
    encoder: LiteEncoder, photos: Sequence[Photo], config: AnchoredConfig, folder: Path
) -> Float[Tensor, "channels channels"]:
    """Mean over crops of J J', J the derivative of the pooled features by the pixels.

    A head w then has the mean squared gradient w' (J J') w: what an attacker's small step gains.

    Args:
        encoder: As for `collect`.
        photos: As for `collect`.
        config: `gradient_crops` are taken, one per draw, each at another level.
        folder: Where the outcome is kept, as the table is.
    """
    pieces = Pieces(folder, {"gradient_crops": config.gradient_crops, "seed": config.seed})
    groups = Groups(photos, config)
    for number in range(pieces.missing(), config.gradient_crops):
        crops = groups[_FIRST_GRADIENT + number].crops
        crop = crops[number % len(crops), :, :_GRADIENT_SIDE, :_GRADIENT_SIDE]
        jacobian = _jacobian(encoder, crop)
        pieces.save(number, {"squared": (jacobian @ jacobian.T)[None]})
    return pieces.load()["squared"].mean(dim=0)


def flip_differences(
    encoder: LiteEncoder, photos: Sequence[Photo], config: AnchoredConfig, folder: Path
) -> Float[Tensor, "channels channels"]:
    """Mean over crops of d d', d what the pooled features change by when a crop is upside down.

    Args:
        encoder: As for `collect`.
        photos: As for `collect`.
        config: The crops of `flip_draws` draws are taken, of all levels.
        folder: Where the outcome is kept, as the table is.
    """
    pieces = Pieces(folder, {"flip_draws": config.flip_draws, "seed": config.seed})
    groups = Groups(photos, config)
    for number in range(pieces.missing(), config.flip_draws):
        crops = groups[_FIRST_FLIP + number].crops
        upright, turned = _pooled(encoder, torch.stack([crops, crops.flip(2)])).double()
        change = turned - upright
        pieces.save(number, {"squared": (change.T @ change / len(change))[None]})
    return pieces.load()["squared"].mean(dim=0)


def _pooled(
    encoder: LiteEncoder, crops: Float[Tensor, "draws levels 3 c c"]
) -> Float[Tensor, "draws levels channels"]:
    flat = crops.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return encoder.pooled(flat).reshape(*crops.shape[:2], -1)


def _jacobian(
    encoder: LiteEncoder, crop: Float[Tensor, "3 h w"]
) -> Float[Tensor, "channels pixels"]:
    """Many copies of the crop go through together, and each gives another feature's gradient."""
    copies = crop.repeat(_COPIES, 1, 1, 1).requires_grad_()
    pooled = encoder.pooled(copies)
    rows = [
        torch.autograd.grad(pooled[:, first:].diagonal().sum(), copies, retain_graph=True)[0]
        for first in range(0, pooled.shape[1], _COPIES)
    ]
    return torch.cat(rows).flatten(1)[: pooled.shape[1]]
