"""Contact sheets: ladders, one per row, to look at."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, LINKS, Chain, chain_ladder, ladder
from qualiclip_metric.images import to_picture

_TILE = 192  # px shown of the photo, one to one
_GAP = 6
_LABEL = 190  # width of the names' column
_CAPTION = 18  # height of the line under a tile
_HEADER = 34
_INK, _FADED, _PAPER = "#111111", "#666666", "#ffffff"
_SIZES = (18, 13, 13)  # of the lines of a row's label


class _Row(NamedTuple):
    """One ladder: the lines of its label, its levels, and what is written under each."""

    label: tuple[str, ...]
    steps: Tensor
    captions: tuple[str, ...]


def contact_sheet(img: Tensor, seed: int = 0, tile: int = _TILE) -> Image.Image:
    """Show the middle of a photo under each of the 24 types at each of the 5 levels.

    Args:
        img: (3, H, W) RGB in [0, 1], at least 32x32.
        seed: Of the random state, the same for every row.
        tile: Side in px of the square cut from the middle; a smaller photo is shown whole.

    Returns:
        An RGB picture, one row per type: name, original, levels 1 to 5 with their parameter.

    Raises:
        ValueError: As `qualiclip_metric.distortions.distort`.
    """
    crop = _middle(img, tile)
    return _page(
        crop,
        [
            _Row(
                (one.name, one.group.replace("_", " "), one.unit),
                ladder(crop[None], one.name, torch.Generator().manual_seed(seed))[:, 0],
                tuple(f"{value:g}" for value in one.levels),
            )
            for one in DISTORTIONS.values()
        ],
    )


def chain_sheet(
    img: Tensor, chains: Sequence[Chain] = (), seed: int = 0, tile: int = _TILE
) -> Image.Image:
    """Show the middle of a photo under chains at each of the 5 levels.

    Args:
        img: As for `contact_sheet`.
        chains: One row each; every link alone where there are none.
        seed: Of the random state, the same for every row.
        tile: As for `contact_sheet`.

    Returns:
        An RGB picture, one row per chain: its links, original, levels 1 to 5.

    Raises:
        ValueError: As `qualiclip_metric.distortions.chain_ladder`.
    """
    crop = _middle(img, tile)
    rows = []
    for chain in chains or [Chain(((name, 1.0),)) for name in LINKS]:
        steps = chain_ladder(crop[None], chain, torch.Generator().manual_seed(seed))[:, 0]
        names = str(chain).split(",")
        link = LINKS[chain.links[0][0]]
        label = (names[0], link.fault, link.unit) if len(names) == 1 else (names[0], *names[1:])
        captions = tuple(f"strength {(k + 1) / LEVELS:g}" for k in range(LEVELS))
        rows.append(_Row(label, steps, captions))
    return _page(crop, rows)


def _page(crop: Tensor, rows: Sequence[_Row]) -> Image.Image:
    height, width = crop.shape[-2:]
    row, column = height + _CAPTION + _GAP, width + _GAP
    size = (_LABEL + column * (LEVELS + 1), _HEADER + row * len(rows))
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    for index, title in enumerate(["original", *(f"level {k + 1}" for k in range(LEVELS))]):
        draw.text((_LABEL + column * index, 8), title, _INK, ImageFont.load_default(16))
    for index, one in enumerate(rows):
        top = _HEADER + row * index
        _label(draw, one.label, top)
        captions = ["", *one.captions]
        for place, (step, caption) in enumerate(zip([crop, *one.steps], captions, strict=True)):
            left = _LABEL + column * place
            page.paste(to_picture(step), (left, top))
            draw.text((left, top + height + 2), caption, _FADED, ImageFont.load_default(12))
    return page


def _middle(img: Tensor, side: int) -> Tensor:
    height, width = img.shape[-2:]
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return img[:, top : top + side, left : left + side]


def _label(draw: ImageDraw.ImageDraw, lines: Sequence[str], top: int) -> None:
    for number, (text, size) in enumerate(zip(lines, _SIZES, strict=False)):
        ink = _FADED if number else _INK
        draw.text((8, top + 8 * number + sum(_SIZES[:number])), text, ink, _font(size))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
