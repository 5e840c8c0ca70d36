"""Draws: one crop of a pristine photo, its ladder, and its full-reference quality at each level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from qualiclip_metric.distortions import FAULT_OF, FAULTS, chain_ladder, draw_chain, ladder
from qualiclip_metric.distortions.composed import compose
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.data import (
    CROPS,
    crop_pair,
    draw_types,
    drawn_photo,
    generator,
    use_one_thread,
)
from qualiclip_metric.training.full_reference import mdsi
from qualiclip_metric.training.photos import Photo

_KIND, _NOISE, _COMPOSED = 40, 41, 42  # purposes of the generators


@dataclass(frozen=True)
class Draw:
    """A crop with its ladder, mild to strong, rounded to 8 bits as in a file, and their labels."""

    crops: Float[Tensor, "levels 3 c c"]
    quality: Float[Tensor, " levels"]  # MDSI against the undegraded crop, negated: higher is better
    chained: bool  # degraded by a chain, not by `DISTORTIONS`
    composed: bool  # the undegraded crop is one of `distortions.composed`
    shares: Float[Tensor, " faults"]  # strength at the last level; 0 for those without a part
    hard: bool  # whether one of `config.hard_types` takes part


class DrawDataset(Dataset[Draw]):
    """Draws by number: each depends only on the seed and its number.

    The first `config.draws` are of crops as they are, the next `config.composed_draws` of composed
    ones; numbers beyond are of crops as they are.
    """

    def __init__(self, paths: Sequence[Photo], config: AnchoredConfig) -> None:
        self.paths, self.config = paths, config

    def __len__(self) -> int:
        return self.config.all_draws

    def __getitem__(self, number: int) -> Draw:
        config = self.config
        photo = drawn_photo(self.paths, number, config.seed)
        rng = generator(config.seed, number, CROPS)
        pair = crop_pair(photo, config.crop_size, rng, min_scale=config.min_scale)
        crop = pair[:1]  # (1, 3, c, c)
        composed = config.draws <= number < config.all_draws
        if composed:
            crop = compose(crop, generator(config.seed, number, _COMPOSED))
        crop = _rounded(crop)
        noise = generator(config.seed, number, _NOISE)
        kind = generator(config.seed, number, _KIND)
        chained = float(torch.rand((), generator=kind)) < config.chain_share
        if chained:
            chain = draw_chain(kind, config.max_links)
            strengths, steps = dict(chain.links), chain_ladder(crop, chain, noise)
        else:
            types = draw_types(config.exclude, config.max_distortions, kind)
            strengths, steps = dict.fromkeys(types, 1.0), ladder(crop, types, noise)
        # steps: (5, 1, 3, c, c), so crops: (6, 3, c, c)
        crops = _rounded(torch.cat([crop, steps[:, 0]]))
        shares = torch.zeros(len(FAULTS))
        for name, strength in strengths.items():
            if name in FAULT_OF:  # two links of one fault count as the stronger one
                index = FAULTS.index(FAULT_OF[name])
                shares[index] = max(strength, float(shares[index]))
        return Draw(
            crops,
            mdsi(crops, crop.expand_as(crops)),
            chained,
            composed,
            shares,
            any(name in config.hard_types for name in strengths),
        )


def _rounded(img: Tensor) -> Tensor:
    """Round to 8 bits, as in a file."""
    return (img * 255).round() / 255


def draw_batches(
    paths: Sequence[Photo], config: AnchoredConfig, first: int
) -> Iterator[dict[str, Tensor]]:
    """Yield the draws from number `first` on, batch by batch, a tensor per attribute of `Draw`."""
    loader: DataLoader[Any] = DataLoader(
        DrawDataset(paths, config),
        batch_size=config.batch_size,
        sampler=range(first, config.all_draws),
        num_workers=config.workers,
        collate_fn=_stack,
        worker_init_fn=use_one_thread,
    )
    yield from loader


def _stack(draws: Sequence[Draw]) -> dict[str, Tensor]:
    names = [one.name for one in fields(Draw)]
    return {
        name: torch.stack([torch.as_tensor(getattr(draw, name)) for draw in draws])
        for name in names
    }
