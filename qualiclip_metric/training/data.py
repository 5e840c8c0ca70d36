"""From pristine photos to batches of degraded crops: two overlapping crops x L levels each.

A draw (a photo, its crops, its distortions, their random state) depends only on the seed and on its
number. So a resumed run sees the same crops as an uninterrupted one, and the number of workers and
processes makes no difference.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from qualiclip_metric.distortions import GROUPS, ladder
from qualiclip_metric.images import ImageError, to_uint8
from qualiclip_metric.training import photos
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.photos import Photo

Ladders = Float[Tensor, "photos 2 levels 3 c c"]
"""Degraded crops in [0, 1], levels from mild to strong."""

_ORDER, CROPS, _TYPES, _NOISE = range(4)  # purposes of a draw's generators

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CropPair:
    """Two pristine crops of one photo, (2, 3, c, c) in 0..255, and their distortions in order.

    The number of the draw seeds the noise of the distortions.
    """

    number: int
    crops: UInt8[Tensor, "2 3 c c"]
    types: tuple[str, ...]


def generator(seed: int, number: int, purpose: int) -> torch.Generator:
    """CPU generator that depends only on the run's seed, the number of the draw and the purpose."""
    # A hash, so that no sum or product of the three collides; 63 bits of it, because `manual_seed`
    # takes a signed 64-bit number.
    digest = hashlib.sha256(f"{seed} {number} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class PristineDataset(Dataset[CropPair]):
    """Crops of pristine photos and their distortions, by the number of the draw."""

    def __init__(self, paths: Sequence[Photo], config: TrainConfig) -> None:
        self.paths, self.config = paths, config

    def __getitem__(self, number: int) -> CropPair:
        config = self.config
        photo = drawn_photo(self.paths, number, config.seed)
        rng = generator(config.seed, number, CROPS)
        crops = crop_pair(photo, config.crop_size, rng, config.overlap, config.min_scale)
        rng = generator(config.seed, number, _TYPES)
        types = draw_types(config.exclude, config.max_distortions, rng)
        return CropPair(number, to_uint8(crops), types)


def drawn_photo(paths: Sequence[Photo], number: int, seed: int) -> Float[Tensor, "3 h w"]:
    """Read the photo of a draw; each pass over the photos is shuffled anew.

    Where a photo cannot be read, warn and take the next one; ValueError when none can be read.
    """
    epoch, position = divmod(number, len(paths))
    order = torch.randperm(len(paths), generator=generator(seed, epoch, _ORDER)).tolist()
    for index in order[position:] + order[:position]:
        try:
            return photos.read(paths[index])
        except ImageError as err:
            log.warning("skipped: %s", err)
    raise ValueError(f"training: none of the {len(paths)} photos can be read")


def draw_numbers(
    steps: Sequence[int], batch_size: int, rank: int = 0, world: int = 1
) -> Iterator[list[int]]:
    """Yield the draw numbers of each step of one process.

    The batches of all processes together equal the batch of a single process with `world` times
    the batch size.
    """
    for step in steps:
        first = (step * world + rank) * batch_size
        yield list(range(first, first + batch_size))


def crop_pair(
    img: Float[Tensor, "3 h w"],
    size: int,
    rng: torch.Generator,
    overlap: float = 0.25,
    min_scale: float = 1.0,
) -> Float[Tensor, "2 3 c c"]:
    """Two random crops that share at least `overlap` of their area, both flipped or not.

    A photo smaller than the crop is enlarged to fit; a larger one is first downscaled by a factor
    drawn from [`min_scale`, 1].
    """
    drawn = min_scale + (1 - min_scale) * float(torch.rand((), generator=rng))
    factor = max(drawn, size / min(img.shape[1:]))
    if factor != 1:
        height, width = (max(size, round(side * factor)) for side in img.shape[1:])
        img = interpolate(
            img[None], (height, width), mode="bicubic", align_corners=False, antialias=True
        )[0].clamp(0, 1)
    room = torch.tensor([img.shape[1] - size, img.shape[2] - size])  # positions per axis, less 1
    first = _position(room, rng)
    offset = _position(room, rng) - first
    # Halving ends (offset 0 overlaps wholly) and keeps the second crop within the photo, because
    # it moves towards the first.
    while (size - offset.abs()).clamp_min(0).prod() < overlap * size * size:
        offset = (offset / 2).trunc().long()
    corners = (first.tolist(), (first + offset).tolist())
    crops = torch.stack([img[:, y : y + size, x : x + size] for y, x in corners])
    return crops.flip(-1) if torch.rand((), generator=rng) < 0.5 else crops


def _position(room: Tensor, rng: torch.Generator) -> Tensor:
    return (torch.rand(2, generator=rng) * (room + 1)).long()


def draw_types(
    exclude: Sequence[str], max_distortions: int, rng: torch.Generator
) -> tuple[str, ...]:
    """Draw one to `max_distortions` types, in the order in which they are applied.

    A single type is drawn uniformly over all types. For a composition, groups are drawn without
    replacement, and a type uniformly within each.
    """
    groups = [[t for t in types if t not in exclude] for types in GROUPS.values()]
    groups = [types for types in groups if types]
    count = 1 + int(torch.randint(max_distortions, (), generator=rng))
    if count == 1:
        groups = [[t for types in groups for t in types]]
    order = torch.randperm(len(groups), generator=rng)[:count].tolist()
    return tuple(groups[i][int(torch.randint(len(groups[i]), (), generator=rng))] for i in order)


def degrade(
    crop_pairs: Sequence[CropPair], config: TrainConfig, device: str | torch.device = "cpu"
) -> Ladders:
    """Apply each pair's distortions at every level, on a device.

    Both crops of a photo and all levels share one random state of the distortion, so that neither
    loss compares two different accidents.
    """
    ladders = []
    for pair in crop_pairs:
        pristine = pair.crops.to(device).float() / 255
        rng = generator(config.seed, pair.number, _NOISE)
        levels = ladder(pristine, pair.types, rng, config.levels).transpose(0, 1)  # (2, L, 3, c, c)
        if config.include_pristine:
            levels = torch.cat([pristine[:, None], levels], dim=1)
        ladders.append(levels)
    return torch.stack(ladders)


def ladder_batches(
    paths: Sequence[Photo],
    config: TrainConfig,
    numbers: Iterator[list[int]],
    device: torch.device,
) -> Iterator[Ladders]:
    """Yield a batch for each list of draw numbers.

    The workers degrade on a CPU; with a GPU they only read and crop, and the GPU degrades.
    """
    on_cpu = device.type == "cpu"
    loader: DataLoader[Any] = DataLoader(
        PristineDataset(paths, config),
        batch_sampler=numbers,
        num_workers=config.workers,
        collate_fn=partial(degrade, config=config) if on_cpu else list,
        worker_init_fn=use_one_thread,
    )
    for batch in loader:
        yield batch if on_cpu else degrade(batch, config, device)


def use_one_thread(_worker: int) -> None:
    """Worker initialisation: workers already use all cores, more threads would only wait."""
    torch.set_num_threads(1)
