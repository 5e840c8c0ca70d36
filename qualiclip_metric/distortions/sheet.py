"""Contact sheets: ladders, one per row, to look at."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, LINKS, Chain, chain_ladder, ladder
from qualiclip_metric.images import to_picture

TILE = 256
"""Longer side of a tile, px."""
LEFT, HEADER, CAPTION, GAP = 260, 44, 28, 8
"""Width of the column of names; heights of the head and of a caption; space between tiles, px."""
_INK, _FADED, _PAPER = "#111111", "#555555", "#ffffff"
_SIZES = (22, 17, 17)  # of the lines of a row's label

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Report = Callable[[int], None]
"""Called with the number of rows done so far."""


class _Row(NamedTuple):
    """One ladder: the lines of its label, its levels, and what is written under each."""

    label: tuple[str, ...]
    steps: Tensor
    captions: tuple[str, ...]


def contact_sheet(
    img: Tensor, seed: int = 0, tile: int = TILE, progress: Report | None = None
) -> Image.Image:
    """Show a photo under each of the 24 types at each of the 5 levels.

    Args:
        img: (3, H, W) RGB in [0, 1], at least 32x32.
        seed: Of the random state, the same for every row.
        tile: Longer side in px to which the photo is reduced before it is degraded, so that the
            whole of it is seen; a smaller photo stays as it is.
        progress: Called with the number of rows done so far.

    Returns:
        An RGB picture, one row per type: name, original, levels 1 to 5 with their parameter.

    Raises:
        ValueError: As `qualiclip_metric.distortions.distort`.
    """
    photo = reduced(img, tile)
    rows = (
        _Row(
            (one.name, one.group.replace("_", " "), one.unit),
            ladder(photo[None], one.name, torch.Generator().manual_seed(seed))[:, 0],
            tuple(f"{value:g}" for value in one.levels),
        )
        for one in DISTORTIONS.values()
    )
    return _page(photo, rows, len(DISTORTIONS), progress)


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
    photo = reduced(img, tile)
    shown = chains or [Chain(((name, 1.0),)) for name in LINKS]
    rows = (_chain_row(photo, chain, seed) for chain in shown)
    return _page(photo, rows, len(shown), progress)


def _chain_row(photo: Tensor, chain: Chain, seed: int) -> _Row:
    steps = chain_ladder(photo[None], chain, torch.Generator().manual_seed(seed))[:, 0]
    names = str(chain).split(",")
    link = LINKS[chain.links[0][0]]
    label = (names[0], link.fault, link.unit) if len(names) == 1 else (names[0], *names[1:])
    captions = tuple(f"strength {(k + 1) / LEVELS:g}" for k in range(LEVELS))
    return _Row(label, steps, captions)


def _page(photo: Tensor, rows: Iterable[_Row], count: int, progress: Report | None) -> Image.Image:
    height, width = photo.shape[-2:]
    row, column = height + CAPTION + GAP, width + GAP
    size = (LEFT + column * (LEVELS + 1), HEADER + row * count)
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    for index, title in enumerate(["original", *(f"level {k + 1}" for k in range(LEVELS))]):
        draw.text((LEFT + column * index, 12), title, _INK, ImageFont.load_default(20))
    for index, one in enumerate(rows):
        top = HEADER + row * index
        _label(draw, one.label, top)
        captions = ["", *one.captions]
        for place, (step, caption) in enumerate(zip([photo, *one.steps], captions, strict=True)):
            left = LEFT + column * place
            page.paste(to_picture(step), (left, top))
            draw.text((left, top + height + 3), caption, _INK, ImageFont.load_default(18))
        if progress is not None:
            progress(index + 1)
    return page


def reduced(img: Tensor, side: int) -> Tensor:
    """Reduce a photo so that its longer side is as told, its shorter one 32 px at the least.

    Args:
        img: (3, H, W) RGB in [0, 1].
        side: Longer side, px.

    Returns:
        (3, h, w) RGB in [0, 1], the photo itself where it is no larger.
    """
    height, width = img.shape[-2:]
    scale = max(side / max(height, width), 32 / min(height, width))
    if scale >= 1:
        return img
    size = [round(height * scale), round(width * scale)]
    return interpolate(img[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _label(draw: ImageDraw.ImageDraw, lines: Sequence[str], top: int) -> None:
    for number, (text, size) in enumerate(zip(lines, _SIZES, strict=False)):
        ink = _FADED if number else _INK
        for words in _wrapped(draw, text, LEFT - 16, _font(size)):
            draw.text((8, top), words, ink, _font(size))
            top += size + 4
        top += 4


def _wrapped(draw: ImageDraw.ImageDraw, text: str, width: int, font: Font) -> list[str]:
    """A text in lines that are no wider than told, as far as its words allow."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: int) -> Font:
    return ImageFont.load_default(size)
