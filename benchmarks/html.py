"""Self-contained pages: templates, and pictures as data URIs of a bounded size."""

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

BROWSER_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Formats that every browser shows: such files can be inlined as they are."""
SMALLEST_SIDE = 24
"""Side in pixels below which an album's pictures are not shrunk, whatever the budget."""


def render(folder: Path, template: str, **values: Any) -> str:
    """Fill a template; values are escaped unless the template says otherwise.

    Args:
        folder: Folder of the templates.
        template: Name of the template in it.
        values: What the template uses. Its filter ``figure`` writes numbers in the field's style,
            ``tojson`` refuses NaN.

    Returns:
        The page.

    Raises:
        ImportError: Jinja2 is absent.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as err:
        raise ImportError("pages need Jinja2: pip install 'qualiclip-metric[benchmarks]'") from err
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
    """An image as a viewer shows it, RGB, shrunk to a square.

    Args:
        path: Image file.
        side: Largest side in pixels; smaller images stay as they are.

    Returns:
        The picture.

    Raises:
        ImageError: Where the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            file.draft("RGB", (side, side))
            image = to_picture(to_tensor(file))
    except (OSError, SyntaxError, ValueError) as err:
        raise ImageError(f"{path}: cannot be read as an image ({err})") from err
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def original(path: Path, side: int) -> str:
    """The file itself as a data URI where a browser shows it and it fits; else a shrunk copy.

    A copy is stored without loss, so that nobody votes on the artefacts of a second compression.

    Args:
        path: Image file.
        side: Largest side in pixels of a file that is taken as it is.

    Returns:
        The data URI.

    Raises:
        ImageError: Where the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            kind = BROWSER_FORMATS.get(file.format or "")
            fits = max(file.size) <= side
    except OSError as err:
        raise ImageError(f"{path}: cannot be read as an image ({err})") from err
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

    Returns:
        One data URI per path.
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
