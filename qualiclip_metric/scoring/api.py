"""`qualiclip_metric.score`: a number for one image of any kind, a table for several."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric.build import create
from qualiclip_metric.decoding import Colour, ImageError
from qualiclip_metric.images import find_images, from_uint8, to_tensor
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring.columns import CHECKS
from qualiclip_metric.scoring.pipeline import score_files
from qualiclip_metric.statistics import statistics_of_pixels

if TYPE_CHECKING:
    from pandas import DataFrame


def score(
    what: Any,
    model: str | Path | QualiCLIP = "lite",
    *,
    recursive: bool = True,
    colour: Colour = "srgb",
    checks: bool = False,
    **options: Any,
) -> "float | DataFrame":
    """Score an image, or many, of any kind.

    Args:
        what: The path of a file, a Pillow image or an array (H, W, 3) of uint8, each of which gives
            a number; a folder, a pattern, or any iterable of all these, which give a table.
        model: As for `create`, or a metric that `create` made. The last two models that were named
            are kept with their options; a checkpoint whose file has changed is read again.
        recursive: Whether folders are entered to any depth.
        colour: As for `images.read`; an array is scored as it is.
        checks: Whether to give pixel statistics as further columns; `statistics.statistics` defines
            them. A single image then gives a table of one row.
        options: As for `create`.

    Returns:
        The score in [0, 1], higher is better. Of several images a pandas.DataFrame with the columns
        `path` (for an image in memory its position), `score` (NaN where it failed) and `error`, and
        the metric's signature in `attrs["signature"]`. In a notebook it shows thumbnails.

    Raises:
        ImageError: If a single file is no image.
        ValueError: If `what` is none of these, or an argument is wrong.
    """
    metric = model if isinstance(model, QualiCLIP) else _kept(str(model), **options)
    if checks and (_is_in_memory(what) or isinstance(what, str | Path)):
        what = [what]
    if _is_in_memory(what):
        return _score_in_memory(metric, what, colour)
    if not isinstance(what, str | Path):
        if not isinstance(what, Iterable) or isinstance(what, bytes | Mapping):
            raise ValueError(f"expected {_EXPECTED}, got {type(what).__name__}")
        return _table(metric, list(what), recursive, colour, checks)
    path = Path(what)
    if path.is_dir() or (has_magic(str(what)) and not path.exists()):
        return _table(metric, [what], recursive, colour, checks)
    (row,) = score_files(metric, [path], colour=colour)
    if row.score is None:
        raise ImageError(f"{path}: {row.error}")
    return row.score


_EXPECTED = (
    "a path, a Pillow image, an array (H, W, 3) of uint8, or an iterable of these; tensors "
    "(N, 3, H, W) in [0, 1] are scored by metric(img) with metric = create(...)"
)


def _kept(model: str, **options: Any) -> QualiCLIP:
    """The metric for these arguments; made again if its file has changed."""
    if options.get("prompts") is not None:
        options["prompts"] = tuple(tuple(pair) for pair in options["prompts"])
    stat = Path(model).stat() if Path(model).is_file() else None
    return _made(model, stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino), **options)


@lru_cache(maxsize=2)
def _made(model: str, _stamp: object, **options: Any) -> QualiCLIP:
    return create(model, **options)


def _is_in_memory(what: Any) -> bool:
    return isinstance(what, Image.Image | np.ndarray | Tensor)


def _score_in_memory(metric: QualiCLIP, image: Any, colour: Colour) -> float:
    return _score_tensor(metric, _to_tensor(image, colour))


def _to_tensor(image: Any, colour: Colour) -> Tensor:
    """(3, H, W) in [0, 1]."""
    if isinstance(image, Image.Image):
        return to_tensor(image, colour=colour)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,):
        return from_uint8(image)
    shape = f" of shape {tuple(image.shape)}, {image.dtype}"
    raise ValueError(f"expected {_EXPECTED}; got {type(image).__name__}{shape}")


def _score_tensor(metric: QualiCLIP, img: Tensor) -> float:
    with torch.inference_mode():
        return float(metric(img[None].to(metric.device)))


def _table(
    metric: QualiCLIP, items: list[Any], recursive: bool, colour: Colour, checks: bool
) -> "DataFrame":
    """A row per image, in the order of the items."""
    from qualiclip_metric.pages.notebook import ImagePosition, scores_table

    paths: list[Path] = []
    rows: list[dict[str, Any]] = []
    for position, item in enumerate(items):
        if _is_in_memory(item):
            row = _row_in_memory(metric, item, position, colour, checks)
            if row["error"] is None:
                row["path"] = ImagePosition.of(position, item)
            rows.append(row)
        elif isinstance(item, str | Path):
            files = find_images([item], recursive).files
            paths += files
            rows += [{"path": str(file)} for file in files]
        else:
            raise ValueError(f"item {position}: expected {_EXPECTED}; got {type(item).__name__}")
    results = score_files(metric, paths, colour=colour, checks=checks)
    for row in rows:
        if "score" not in row:
            result = next(results)
            row.update(score=result.score, error=result.error, **result.checks)
    signature = metric.signature and metric.signature.of_files(colour)
    return scores_table(rows, str(signature), CHECKS if checks else ())


def _row_in_memory(
    metric: QualiCLIP, image: Any, position: int, colour: Colour, checks: bool
) -> dict[str, Any]:
    try:
        img = _to_tensor(image, colour)
        score = _score_tensor(metric, img)
    except ValueError as err:
        return {"path": position, "score": None, "error": str(err)}
    found = statistics_of_pixels(img.permute(1, 2, 0).numpy()) if checks else {}
    return {"path": position, "score": score, "error": None, **found}
