"""The demo's picture: one row per photo, from clean to worst, the score under each tile."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qualiclip_metric.cli.demo_strips import Strip
from qualiclip_metric.images import to_picture

TILE = (240, 180)  # px; tiles show the photo at its own resolution, so that damage stays visible
GAP, MARGIN, LABEL, HEAD, FOOT = 14, 36, 170, 62, 84  # px
CAPTION = 44  # px under a tile, for the bar and the number
INK, FAINT, TRACK, BAR, PAPER = "#1f2933", "#66727f", "#e4e8ec", "#2a7f9e", "#ffffff"


class _Font(Protocol):
    def __call__(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont: ...


_font: _Font = ImageFont.load_default


def draw(strips: Sequence[Strip], names: Mapping[str, str], signature: str) -> Image.Image:
    """Draw the picture.

    Args:
        strips: Rows, each of a clean photo and its levels.
        names: Distortion -> its name for people.
        signature: What the scores depend on; stated at the bottom with the photos' credits.

    Returns:
        An RGB picture.
    """
    columns = len(strips[0].scores)
    width = 2 * MARGIN + LABEL + columns * (TILE[0] + GAP) - GAP
    row = TILE[1] + CAPTION + GAP
    sheet = Image.new("RGB", (width, HEAD + len(strips) * row + FOOT), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column in range(columns):
        title = "clean" if column == 0 else f"level {column}"
        pen.text((_left(column), HEAD - 12), title, INK, _font(24), anchor="ls")
    for number, strip in enumerate(strips):
        top = HEAD + number * row
        pen.text((MARGIN, top + 24), names[strip.distortion], INK, _font(24), anchor="ls")
        pen.text((MARGIN, top + 52), strip.photo.name, FAINT, _font(20), anchor="ls")
        for column, (image, score) in enumerate(zip(strip.tiles, strip.scores, strict=True)):
            sheet.paste(crop(image, strip.photo.centre), (_left(column), top))
            _caption(pen, _left(column), top + TILE[1], score)
    bottom = HEAD + len(strips) * row + 22
    pen.text(
        (MARGIN, bottom),
        f"Score of the whole photo, 0 to 1, higher is better; tiles show a detail. {signature}",
        FAINT, _font(18), anchor="ls",
    )  # fmt: skip
    credits = "; ".join(strip.photo.credit for strip in strips)
    pen.text((MARGIN, bottom + 28), f"Photos: {credits}.", FAINT, _font(18), anchor="ls")
    return sheet


def crop(image: Tensor, centre: tuple[float, float]) -> Image.Image:
    """Cut a tile out of a photo, at the photo's own resolution.

    Args:
        image: (3, H, W) RGB in [0, 1], at least as large as a tile.
        centre: Place in the tile's middle, as far as the photo reaches, as shares of width and
            height.

    Returns:
        An RGB picture of `TILE`.
    """
    height, width = image.shape[-2:]
    left = _clamp(round(centre[0] * width) - TILE[0] // 2, width - TILE[0])
    top = _clamp(round(centre[1] * height) - TILE[1] // 2, height - TILE[1])
    part = image[:, top : top + TILE[1], left : left + TILE[0]]
    return to_picture(part)


def _clamp(value: int, most: int) -> int:
    return max(0, min(value, most))


def _left(column: int) -> int:
    return MARGIN + LABEL + column * (TILE[0] + GAP)


def _caption(pen: ImageDraw.ImageDraw, left: int, top: int, score: float) -> None:
    """The number, and a bar that says the same."""
    pen.text((left, top + 29), f"{score:.3f}", INK, _font(22), anchor="ls")
    start, end, middle = left + 74, left + TILE[0], top + 21
    box = (start, middle - 4, end, middle + 4)
    pen.rounded_rectangle(box, 4, fill=TRACK)
    stop = start + max(8, round((end - start) * score))
    pen.rounded_rectangle((start, middle - 4, stop, middle + 4), 4, fill=BAR)
