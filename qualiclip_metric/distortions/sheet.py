"""Contact sheets of distortions: one row per type or chain, one column per level."""

from collections.abc import Callable, Iterable, Sequence

import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric.distortions import (
    DISTORTIONS,
    LEVELS,
    LINKS,
    Chain,
    Distortion,
    chain_ladder,
    ladder,
)
from qualiclip_metric.images import to_picture
from qualiclip_metric.resize import reduced
from qualiclip_metric.tiles import TileRow, draw_grid

TILE = 256
"""Longer side of a tile, px."""
TITLES = ("original", *(f"level {level}" for level in range(1, LEVELS + 1)))


def contact_sheet(
    img: Tensor,
    chains: Sequence[Chain] | None = None,
    seed: int = 0,
    tile: int = TILE,
    progress: Callable[[int], None] | None = None,
) -> Image.Image:
    """Draw a photo at each of the 5 levels of every type of distortion, or of chains.

    One row per type or chain: name, original, levels with their strength. An empty list of chains
    stands for every link alone. The photo is first reduced to a longer side of `tile` px, so that
    the whole of it is seen.
    """
    longer, shorter = max(img.shape[1:]), min(img.shape[1:])
    side = max(32, round(tile * shorter / longer))  # distortions need 32 px
    photo = reduced(img[None], side)[0].clamp(0, 1)
    cases: Iterable[Distortion | Chain] = DISTORTIONS.values()
    if chains is not None:
        cases = chains or [Chain(((name, 1.0),)) for name in LINKS]
    rows = []
    for case in cases:
        rng = torch.Generator().manual_seed(seed)
        if isinstance(case, Chain):
            steps = chain_ladder(photo[None], case, rng)
            label = str(case).split(",")
            if len(label) == 1:
                link = LINKS[case.links[0][0]]
                label += [link.fault, link.unit]
            captions = [f"strength {level / LEVELS:g}" for level in range(1, LEVELS + 1)]
        else:
            steps = ladder(photo[None], case.name, rng)
            label = [case.name, case.group.replace("_", " "), case.unit]
            captions = [f"{value:g}" for value in case.levels]
        pictures = [to_picture(step) for step in (photo, *steps[:, 0])]
        rows.append(TileRow(label, pictures, ["", *captions]))
        if progress is not None:
            progress(len(rows))
    return draw_grid(TITLES, rows)
