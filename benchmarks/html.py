"""Self-contained pages: the template environment, and pictures as data URIs of a bounded size.

Knows Jinja2 and image files. Must not know metrics, pairs or what a page says.
"""

import base64
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.formatting import number
from qualiclip_metric.images import ImageError, to_picture, to_tensor

__all__ = ["album", "original", "picture", "render"]

#: What every browser shows; files of these formats can be inlined as they are.
BROWSER_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
#: An album's pictures are no smaller than this, whatever the budget: smaller ones say nothing.
SMALLEST_SIDE = 24


def render(folder: Path, template: str, **values: Any) -> str:
    """A page from a folder of templates; values are escaped unless the template says otherwise.

    Filters: ``figure`` writes numbers in the field's style, ``tojson`` refuses NaN.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ImportError(
            "pages need Jinja2: pip install 'qualiclip-metric[benchmarks]'"
        ) from error
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = number
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template(template).render(**values)


def picture(path: Path, side: int) -> Image.Image:
    """The image as a viewer shows it, RGB, shrunk until it fits a square of ``side`` pixels.

    Raises:
        ImageError: Where the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            file.draft("RGB", (side, side))
            image = to_picture(to_tensor(file))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read as an image ({error})") from error
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def original(path: Path, side: int) -> str:
    """The file itself as a data URI where a browser shows it and it fits; else a shrunk copy.

    A copy is made only of what is larger than ``side`` pixels or of another format; it is stored
    without loss, so nobody votes on the artefacts of a second compression.
    """
    try:
        with Image.open(path) as file:
            kind = BROWSER_FORMATS.get(file.format or "")
            fits = max(file.size) <= side
    except OSError as error:
        raise ImageError(f"{path}: cannot be read as an image ({error})") from error
    if kind and fits:
        return _uri(kind, path.read_bytes())
    buffer = io.BytesIO()
    picture(path, side).save(buffer, "WEBP", lossless=True)
    return _uri("image/webp", buffer.getvalue())


def album(paths: Sequence[Path], *, side: int, budget: int) -> list[str]:
    """Thumbnails as data URIs, together within ``budget`` bytes.

    Args:
        paths: Image files; one that cannot be read gives an empty string.
        side: Largest side in pixels; smaller where the budget asks for it.
        budget: Bytes of all data URIs together. Where even the smallest side does not meet it,
            the last pictures are empty.
    """
    step = max(1, len(paths) // 32)
    sample = sum(len(_thumbnail(path, side)) for path in paths[::step]) * step
    side = _shrunk(side, sample, budget)
    while True:
        with ThreadPoolExecutor(max_workers=4) as pool:
            pictures = list(pool.map(partial(_thumbnail, side=side), paths))
        total = sum(map(len, pictures))
        if total <= budget:
            return pictures
        if side == SMALLEST_SIDE:
            return _within(pictures, budget)
        side = _shrunk(side, total, budget)


def _within(pictures: list[str], budget: int) -> list[str]:
    """The first pictures, as far as the budget goes."""
    spent = accumulate(map(len, pictures))
    return [
        picture if total <= budget else "" for picture, total in zip(pictures, spent, strict=True)
    ]


def _shrunk(side: int, size: int, budget: int) -> int:
    """The side at which pictures of ``size`` bytes come below the budget, with some room."""
    if size <= budget:
        return side
    return max(SMALLEST_SIDE, int(side * math.sqrt(budget / size) * 0.95))


def _thumbnail(path: Path, side: int) -> str:
    try:
        image = picture(path, side)
    except ImageError:
        return ""  # The page shows the file's name in the picture's place.
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=62, method=2)
    return _uri("image/webp", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
