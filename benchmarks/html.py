"""Self-contained pages: templates, and pictures as data URIs of a bounded size."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.formatting import number
from qualiclip_metric.images import ImageError
from qualiclip_metric.pages.cards import templates
from qualiclip_metric.pages.pictures import encoded, thumbnail

__all__ = ["album", "original", "render"]

BROWSER_FORMATS = ("JPEG", "PNG", "WEBP")
"""Formats that every browser shows: such files can be inlined as they are."""
SMALLEST_SIDE = 24
"""Side in pixels below which an album's pictures are not shrunk, whatever the budget."""


def render(folder: Path, template: str, **values: Any) -> str:
    """Fill a template; values are escaped.

    Its filter ``figure`` writes numbers in the field's style, ``tojson`` refuses NaN.
    """
    environment = templates(folder)
    environment.filters["figure"] = number
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return str(environment.get_template(template).render(**values))


def original(path: Path, side: int) -> str:
    """Encode a file as a data URI: as it is where a browser shows it and it fits, else shrunk.

    A shrunk copy is stored without loss, so that nobody votes on the artefacts of a second
    compression.
    """
    try:
        with Image.open(path) as file:
            form, fits = file.format or "", max(file.size) <= side
    except OSError as err:
        raise ImageError(f"{path}: cannot be read as an image ({err})") from err
    if form in BROWSER_FORMATS and fits:
        return encoded(path.read_bytes(), form)
    return thumbnail(path, side, "WEBP", lossless=True)


def album(paths: Sequence[Path], *, side: int, budget: int) -> list[str]:
    """Encode thumbnails as data URIs, together within ``budget`` bytes; "" for an unreadable file.

    Thumbnails get smaller than ``side`` where the budget asks for it. If even the smallest do not
    fit, the last ones are "".
    """
    step = max(1, len(paths) // 32)
    sample = sum(len(_thumbnail(path, side)) for path in paths[::step]) * step
    side = _affordable_side(side, sample, budget)
    while True:
        with ThreadPoolExecutor(max_workers=4) as pool:
            pictures = list(pool.map(partial(_thumbnail, side=side), paths))
        totals = list(accumulate(map(len, pictures), initial=0))
        if totals[-1] <= budget or side == SMALLEST_SIDE:
            return [
                picture if total <= budget else ""
                for picture, total in zip(pictures, totals[1:], strict=True)
            ]
        side = _affordable_side(side, totals[-1], budget)


def _affordable_side(side: int, size: int, budget: int) -> int:
    """Compute the side at which pictures of ``size`` bytes come well below the budget."""
    if size <= budget:
        return side
    return max(SMALLEST_SIDE, int(side * math.sqrt(budget / size) * 0.95))


def _thumbnail(path: Path, side: int) -> str:
    try:
        return thumbnail(path, side, "WEBP", quality=62, method=2)
    except ImageError:
        return ""  # The page shows the file's name in the picture's place.
