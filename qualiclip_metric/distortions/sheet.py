"""Contact sheet: every type at every level, to look at."""

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, Distortion, ladder
from qualiclip_metric.images import to_picture

_TILE = 192  # px shown of the photo, one to one
_GAP = 6
_LABEL = 190  # width of the names' column
_CAPTION = 18  # height of the line under a tile
_HEADER = 34
_INK, _FADED, _PAPER = "#111111", "#666666", "#ffffff"


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
    height, width = crop.shape[-2:]
    row, column = height + _CAPTION + _GAP, width + _GAP
    size = (_LABEL + column * (LEVELS + 1), _HEADER + row * len(DISTORTIONS))
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    for index, title in enumerate(["original", *(f"level {k + 1}" for k in range(LEVELS))]):
        draw.text((_LABEL + column * index, 8), title, _INK, ImageFont.load_default(16))
    for index, distortion in enumerate(DISTORTIONS.values()):
        top = _HEADER + row * index
        _label(draw, distortion, top)
        steps = ladder(crop[None], distortion.name, torch.Generator().manual_seed(seed))
        captions = ["", *(f"{value:g}" for value in distortion.levels)]
        for place, (step, caption) in enumerate(zip([crop, *steps[:, 0]], captions, strict=True)):
            left = _LABEL + column * place
            page.paste(to_picture(step), (left, top))
            draw.text((left, top + height + 2), caption, _FADED, ImageFont.load_default(12))
    return page


def _middle(img: Tensor, side: int) -> Tensor:
    height, width = img.shape[-2:]
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return img[:, top : top + side, left : left + side]


def _label(draw: ImageDraw.ImageDraw, distortion: Distortion, top: int) -> None:
    for offset, text, size, ink in (
        (0, distortion.name, 18, _INK),
        (26, distortion.group.replace("_", " "), 13, _FADED),
        (44, distortion.unit, 13, _FADED),
    ):
        draw.text((8, top + offset), text, ink, ImageFont.load_default(size))
