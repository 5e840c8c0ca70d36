"""A draw: one crop of a pristine photo, its ladder, and what full-reference metrics say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from qualiclip_metric.distortions import LINKS, chain_ladder, draw_chain, ladder
from qualiclip_metric.training.anchor import mdsi
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import PristineDataset, draw_types, generator
from qualiclip_metric.training.photos import Photo

FAULTS = ("blur", "noise", "compression", "exposure", "colour")
"""What a diagnosis tells apart: the faults of `distortions.LINKS`."""
_TYPE_FAULTS = {
    "blur": "gaublur lensblur motionblur",
    "noise": "whitenoise whitenoiseCC impulsenoise multnoise",
    "compression": "jpeg jpeg2000",
    "exposure": "brighten darken meanshift lincontrchange nonlincontrchange",
    "colour": "colordiff colorshift colorsat1 colorsat2",
}
FAULT_OF = {name: fault for fault, names in _TYPE_FAULTS.items() for name in names.split()} | {
    name: link.fault for name, link in LINKS.items()
}
"""Type or link -> what people would call it; types of other kinds (spatial, sharpening) are not
here."""
_KIND, _NOISE = 40, 41  # purposes of the generators


@dataclass(frozen=True)
class Group:
    """One draw.

    Attributes:
        crops: The undegraded crop and its ladder, mild to strong, each rounded to 8 bits, so that
            they are what a file would hold.
        quality: MDSI of each against the undegraded crop, negated: higher is better.
        chained: Whether a chain degraded it, and not one of the 24 types.
        shares: Strength at the last level of each fault of `FAULTS`; 0 where it has no part.
        hard: Whether one of `config.hard_types` takes part.
    """

    crops: Float[Tensor, "levels 3 c c"]
    quality: Float[Tensor, " levels"]
    chained: bool
    shares: Float[Tensor, " faults"]
    hard: bool


class Groups(Dataset[Group]):
    """Draws by number: each follows from the seed and its number alone."""

    def __init__(self, paths: Sequence[Photo], config: AnchoredConfig) -> None:
        self.config = config
        self.photos = PristineDataset(
            paths,
            TrainConfig(
                seed=config.seed,
                crop_size=config.crop_size,
                min_scale=config.min_scale,
                max_distortions=config.max_distortions,
                exclude=config.exclude,
            ),
        )

    def __len__(self) -> int:
        return self.config.draws

    def __getitem__(self, number: int) -> Group:
        config = self.config
        crop = self.photos[number].crops[:1].float() / 255
        rng = generator(config.seed, number, _NOISE)
        kind = generator(config.seed, number, _KIND)
        chained = float(torch.rand((), generator=kind)) < config.chain_share
        if chained:
            chain = draw_chain(kind, config.max_links)
            parts, steps = dict(chain.links), chain_ladder(crop, chain, rng)
        else:
            types = draw_types(self.photos.config, kind)
            parts, steps = dict.fromkeys(types, 1.0), ladder(crop, types, rng)
        crops = (torch.cat([crop, steps[:, 0]]) * 255).round() / 255
        shares = torch.zeros(len(FAULTS))
        for name, share in parts.items():
            if name in FAULT_OF:
                place = FAULTS.index(FAULT_OF[name])
                shares[place] = max(share, float(shares[place]))
        return Group(
            crops,
            mdsi(crops, crop.expand_as(crops)),
            chained,
            shares,
            any(name in config.hard_types for name in parts),
        )


def batches(
    paths: Sequence[Photo], config: AnchoredConfig, first: int
) -> Iterator[dict[str, Tensor]]:
    """Batches of draws from number `first` on, as one tensor per attribute of `Group`."""
    draws = range(first, config.draws)
    loader: DataLoader[Any] = DataLoader(
        Groups(paths, config),
        batch_size=config.batch_size,
        sampler=draws,
        num_workers=config.workers,
        collate_fn=_stacked,
        worker_init_fn=_single_thread,
    )
    yield from loader


def _stacked(groups: Sequence[Group]) -> dict[str, Tensor]:
    return {
        "crops": torch.stack([group.crops for group in groups]),
        "quality": torch.stack([group.quality for group in groups]),
        "chained": torch.tensor([group.chained for group in groups]),
        "shares": torch.stack([group.shares for group in groups]),
        "hard": torch.tensor([group.hard for group in groups]),
    }


def _single_thread(_worker: int) -> None:
    torch.set_num_threads(1)
