"""Undistorted photos for what is measured without labels.

Knows image files and scikit-image's photos. Must not know metrics.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from benchmarks.report_example import load_photos
from qualiclip_metric.images import find, read

__all__ = ["pristine"]

T = TypeVar("T")


def pristine(paths: Sequence[Path] | None, limit: int | None = None) -> dict[str, Tensor]:
    """Name -> (3, H, W) RGB in [0, 1]; scikit-image's four colour photos where no path is given.

    Args:
        paths: Image files or folders.
        limit: Take no more than so many, evenly spaced in their order.
    """
    if not paths:
        photos = load_photos()
        return {name: photos[name] for name in _spaced(list(photos), limit)}
    return {path.stem: read(path) for path in _spaced(find(paths), limit)}


def _spaced(items: list[T], limit: int | None) -> list[T]:
    if limit is None or limit >= len(items):
        return items
    return [items[i * len(items) // limit] for i in range(limit)]
