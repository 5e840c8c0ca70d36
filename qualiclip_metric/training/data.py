"""Pristine photo -> two overlapping crops x L levels. Knows no losses and no model.

Draw number n of a run (a photo, its crops, its distortions, their random state) follows from the
seed and from n alone. So a resumed run sees what an uninterrupted one would have seen, however many
workers or processes share the drawing.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from qualiclip_metric import images
from qualiclip_metric.distortions import GROUPS, ladder
from qualiclip_metric.images import to_uint8
from qualiclip_metric.training.anchor import ANCHORS
from qualiclip_metric.training.config import TrainConfig

_ORDER, _CROPS, _TYPES, _NOISE = range(4)  # what a draw's generators are for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """One photo of a batch: its two pristine crops and how to degrade them."""

    number: int
    crops: UInt8[Tensor, "2 3 c c"]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Ladders:
    """A batch of degraded crops.

    Attributes:
        crops: (photos, 2, levels, 3, c, c) in [0, 1], mild to strong.
        reference: Full-reference quality of the first crop of each photo against the pristine crop,
            higher is better, (photos, levels), or None where no anchor is asked for.
        types: Distortion types of each photo.
    """

    crops: Float[Tensor, "photos 2 levels 3 c c"]
    reference: Float[Tensor, "photos levels"] | None
    types: tuple[tuple[str, ...], ...]


def generator(seed: int, number: int, purpose: int) -> torch.Generator:
    """A CPU generator that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed} {number} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Photos(Dataset[Draw]):
    """Draws by number, in an order that is shuffled anew for each pass over the photos."""

    def __init__(self, paths: Sequence[Path], config: TrainConfig) -> None:
        if not paths:
            raise ValueError("training: expected at least one pristine photo, got none")
        self.paths = list(paths)
        self.config = config

    def __getitem__(self, number: int) -> Draw:
        crops = crop_pair(
            self._photo(number), self.config, generator(self.config.seed, number, _CROPS)
        )
        return Draw(
            number,
            to_uint8(crops),
            draw_types(self.config, generator(self.config.seed, number, _TYPES)),
        )

    def _photo(self, number: int) -> Float[Tensor, "3 h w"]:
        """The photo of a draw; for one that cannot be read, the next that can, with a warning."""
        epoch, place = divmod(number, len(self.paths))
        rng = generator(self.config.seed, epoch, _ORDER)
        order = torch.randperm(len(self.paths), generator=rng).tolist()
        for index in order[place:] + order[:place]:
            try:
                return images.read(self.paths[index])
            except images.ImageError as err:
                log.warning("skipped: %s", err)
        raise ValueError(f"training: none of the {len(self.paths)} photos can be read")


class Numbers(Sampler[list[int]]):
    """Draw numbers of each batch of one process, from a step on."""

    def __init__(self, config: TrainConfig, start: int, rank: int, world: int) -> None:
        self.config, self.start, self.rank, self.world = config, start, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        size = self.config.batch_size
        for step in range(self.start, self.config.steps):
            first = (step * self.world + self.rank) * size
            yield list(range(first, first + size))

    def __len__(self) -> int:
        return max(0, self.config.steps - self.start)


def crop_pair(
    img: Float[Tensor, "3 h w"], config: TrainConfig, rng: torch.Generator
) -> Float[Tensor, "2 3 c c"]:
    """Two random crops that share at least `config.overlap` of their area, both flipped or not.

    A photo smaller than the crop is enlarged to fit; one that is larger is first downscaled by a
    factor drawn from [`config.min_scale`, 1].
    """
    size = config.crop_size
    smallest = size / min(img.shape[1:])
    drawn = config.min_scale + (1 - config.min_scale) * float(torch.rand((), generator=rng))
    factor = max(drawn, smallest)
    if factor != 1:
        img = _resize(
            img, max(size, round(img.shape[1] * factor)), max(size, round(img.shape[2] * factor))
        )
    room = torch.tensor([img.shape[1] - size, img.shape[2] - size])
    first = _position(room, rng)
    away = _position(room, rng) - first
    while (size - away.abs()).clamp_min(0).prod() < config.overlap * size * size:
        away = (away / 2).trunc().long()
    places = (first.tolist(), (first + away).tolist())
    crops = torch.stack([img[:, y : y + size, x : x + size] for y, x in places])
    return crops.flip(-1) if torch.rand((), generator=rng) < 0.5 else crops


def _position(room: Tensor, rng: torch.Generator) -> Tensor:
    return (torch.rand(2, generator=rng) * (room + 1)).long()


def _resize(img: Tensor, height: int, width: int) -> Tensor:
    scaled = torch.nn.functional.interpolate(
        img[None], (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return scaled[0].clamp(0, 1)


def draw_types(config: TrainConfig, rng: torch.Generator) -> tuple[str, ...]:
    """One to `config.max_distortions` types from distinct groups.

    A single type is drawn uniformly over all types. Of a composition, the groups are drawn without
    replacement and a type uniformly within each, in the order in which they are applied.
    """
    groups = [[t for t in types if t not in config.exclude] for types in GROUPS.values()]
    groups = [types for types in groups if types]
    count = 1 + int(torch.randint(config.max_distortions, (), generator=rng))
    if count == 1:
        groups = [[t for types in groups for t in types]]
    order = torch.randperm(len(groups), generator=rng)[:count].tolist()
    return tuple(groups[i][int(torch.randint(len(groups[i]), (), generator=rng))] for i in order)


def degrade(
    draws: Sequence[Draw], config: TrainConfig, device: str | torch.device = "cpu"
) -> Ladders:
    """The ladders of a batch, made on a device.

    Both crops of a photo and all levels share one random state of the distortion.
    """
    crops, reference = [], []
    for draw in draws:
        pristine = draw.crops.to(device).float() / 255
        rng = generator(config.seed, draw.number, _NOISE)
        rungs = ladder(pristine, draw.types, rng, config.levels).transpose(0, 1)
        if config.include_pristine:
            rungs = torch.cat([pristine[:, None], rungs], dim=1)
        crops.append(rungs)
        if config.anchor != "none":
            first = rungs[0]
            reference.append(ANCHORS[config.anchor](first, pristine[:1].expand_as(first)))
    return Ladders(
        torch.stack(crops),
        torch.stack(reference) if reference else None,
        tuple(draw.types for draw in draws),
    )


def split(paths: Sequence[Path], share: float) -> tuple[list[Path], list[Path]]:
    """Photos for training and for validation, by a hash of each file's contents.

    A photo stays on its side whatever other photos come or go. Where `share` is above 0 and the
    hash puts no photo aside, the one with the smallest hash is.
    """
    keys = {path: hashlib.sha256(Path(path).read_bytes()).digest() for path in paths}
    bound = int(share * 2**64)
    held = [p for p in paths if int.from_bytes(keys[p][:8], "big") < bound]
    if share > 0 and not held and len(paths) > 1:
        held = [min(paths, key=keys.__getitem__)]
    aside = set(held)
    return [p for p in paths if p not in aside], held


def digest(paths: Sequence[Path]) -> str:
    """SHA-256 over the contents of files, whatever their names and order."""
    sums = sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("".join(sums).encode()).hexdigest()
