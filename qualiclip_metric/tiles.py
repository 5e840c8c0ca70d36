"""Grids of pictures as one picture: a labelled row per case, a caption under each tile."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

LABEL, HEADER, CAPTION, GAP, FOOTER = 250, 56, 46, 12, 30
"""Width of the labels' column; heights of the head and of a caption; space between tiles; height of
a line of the footer. All in px."""
INK, FADED, TRACK, BAR, PAPER = "#1f2933", "#66727f", "#e4e8ec", "#2a7f9e", "#ffffff"


class TileRow(NamedTuple):
    """One row of a grid."""

    label: Sequence[str]  # lines to the left; the first is larger
    tiles: Sequence[Image.Image]  # all of one size
    captions: Sequence[str | float]  # one per tile: text, or a number in [0, 1] drawn with a bar


def draw_grid(
    titles: Sequence[str], rows: Sequence[TileRow], footer: Sequence[str] = ()
) -> Image.Image:
    """Draw rows of tiles, one per title; the footer is in small print."""
    width, height = rows[0].tiles[0].size
    column, row_height = width + GAP, height + CAPTION + GAP
    bottom = HEADER + len(rows) * row_height
    size = (LABEL + column * len(titles) + GAP, bottom + len(footer) * FOOTER + GAP)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    for place, title in enumerate(titles):
        draw.text((LABEL + column * place, HEADER - 12), title, INK, _font(24), anchor="ls")
    for number, row in enumerate(rows):
        top = HEADER + row_height * number
        _draw_label(draw, row.label, top)
        for place, (tile, caption) in enumerate(zip(row.tiles, row.captions, strict=True)):
            left = LABEL + column * place
            page.paste(tile, (left, top))
            _draw_caption(draw, caption, left, top + height, width)
    for number, line in enumerate(footer):
        draw.text((2 * GAP, bottom + FOOTER * number), line, FADED, _font(18))
    return page


def _draw_caption(
    draw: ImageDraw.ImageDraw, caption: str | float, left: int, top: int, width: int
) -> None:
    if isinstance(caption, str):
        draw.text((left, top + 6), caption, INK, _font(18))
        return
    draw.text((left, top + 29), f"{caption:.3f}", INK, _font(22), anchor="ls")
    start, middle = left + 74, top + 21
    for end, ink in ((left + width, TRACK), (start + round((width - 74) * caption), BAR)):
        draw.rounded_rectangle((start, middle - 4, max(start + 8, end), middle + 4), 4, fill=ink)


def _draw_label(draw: ImageDraw.ImageDraw, lines: Sequence[str], top: int) -> None:
    for number, text in enumerate(lines):
        size, ink = (18, FADED) if number else (24, INK)
        for line in _wrapped(draw, text, LABEL - 3 * GAP, size):
            draw.text((2 * GAP, top), line, ink, _font(size))
            top += size + 4
        top += 4


def _wrapped(draw: ImageDraw.ImageDraw, text: str, width: int, size: int) -> list[str]:
    """Break a text into lines of at most this width in px, where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, _font(size)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
