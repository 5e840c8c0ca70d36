"""Contact sheets of distortions: one row per type or chain, one column per level."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, LINKS, Chain, chain_ladder, ladder
from qualiclip_metric.images import to_picture
from qualiclip_metric.resize import reduced
from qualiclip_metric.tiles import TileRow, draw_grid

TILE = 256
"""Longer side of a tile, px."""
TITLES = ("original", *(f"level {level}" for level in range(1, LEVELS + 1)))

Report = Callable[[int], None]
"""Called with the number of rows done so far."""


def contact_sheet(
    img: Tensor, seed: int = 0, tile: int = TILE, progress: Report | None = None
) -> Image.Image:
    """Show a photo under each of the 24 types at each of the 5 levels.

    Args:
        img: (3, H, W) RGB in [0, 1], at least 32x32.
        seed: Of the random state, the same for every row.
        tile: Longer side in px to which the photo is reduced before it is degraded, so that the
            whole of it is seen; a smaller photo keeps its size.
        progress: Called with the number of rows done so far.

    Returns:
        An RGB picture, one row per type: name, original, levels 1 to 5 with their parameter.

    Raises:
        ValueError: As `qualiclip_metric.distortions.distort`.
    """
    photo, rows = _fit(img, tile), []
    for one in DISTORTIONS.values():
        steps = ladder(photo[None], one.name, torch.Generator().manual_seed(seed))[:, 0]
        label = (one.name, one.group.replace("_", " "), one.unit)
        rows.append(_row(label, photo, steps, [f"{value:g}" for value in one.levels]))
        if progress is not None:
            progress(len(rows))
    return draw_grid(TITLES, rows)


def chain_sheet(
    img: Tensor,
    chains: Sequence[Chain] = (),
    seed: int = 0,
    tile: int = TILE,
    progress: Report | None = None,
) -> Image.Image:
    """Show a photo under chains at each of the 5 levels.

    Args:
        img: As for `contact_sheet`.
        chains: One row each; every link alone where there are none.
        seed: Of the random state, the same for every row.
        tile: As for `contact_sheet`.
        progress: As for `contact_sheet`.

    Returns:
        An RGB picture, one row per chain: its links, original, levels 1 to 5.

    Raises:
        ValueError: As `qualiclip_metric.distortions.chain_ladder`.
    """
    photo, rows = _fit(img, tile), []
    captions = [f"strength {level / LEVELS:g}" for level in range(1, LEVELS + 1)]
    for chain in chains or [Chain(((name, 1.0),)) for name in LINKS]:
        steps = chain_ladder(photo[None], chain, torch.Generator().manual_seed(seed))[:, 0]
        label = str(chain).split(",")
        if len(label) == 1:
            link = LINKS[chain.links[0][0]]
            label += [link.fault, link.unit]
        rows.append(_row(label, photo, steps, captions))
        if progress is not None:
            progress(len(rows))
    return draw_grid(TITLES, rows)


def _row(label: Sequence[str], photo: Tensor, steps: Tensor, captions: Sequence[str]) -> TileRow:
    return TileRow(label, [to_picture(step) for step in (photo, *steps)], ["", *captions])


def _fit(img: Tensor, side: int) -> Tensor:
    """Reduce (3, H, W) to a longer side; the shorter one keeps the 32 px that distortions need."""
    longer, shorter = max(img.shape[1:]), min(img.shape[1:])
    return reduced(img[None], max(32, round(side * shorter / longer)))[0].clamp(0, 1)
