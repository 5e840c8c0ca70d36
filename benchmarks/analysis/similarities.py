"""Similarities of images to a model's prompts, computed once and kept in a file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.analysis.ladders import along_ladders
from qualiclip_metric.files import atomic_write
from qualiclip_metric.images import ImageError, read
from qualiclip_metric.metric import QualiCLIP

__all__ = ["file_similarities", "ladder_similarities"]

INTERVAL = 100
"""Images between two messages, and between two writings of the cache."""


def file_similarities(
    metric: QualiCLIP, files: Mapping[str, str], cache: Path, progress: Callable[[str], None]
) -> NDArray[np.float64]:
    """Cosine similarities of image files to the metric's prompts.

    Args:
        metric: The model.
        files: Digest -> path.
        cache: ``.npz`` of earlier answers by digest, extended. It must belong to this model alone.
        progress: Receives a line every `INTERVAL` images, and one per file that cannot be read.

    Returns:
        (files, pairs, 2), positive prompt first; NaN for a file that cannot be read.
    """
    known: dict[str, NDArray[np.float64]] = {}
    if cache.is_file():
        with np.load(cache) as held:
            known = dict(zip(held["digests"].tolist(), held["cosines"], strict=True))
    missing = [digest for digest in files if digest not in known]
    for done, digest in enumerate(missing, start=1):
        try:
            known[digest] = _similarities(metric, read(files[digest])[None])
        except ImageError as err:
            progress(str(err))
        if done % INTERVAL == 0 or done == len(missing):
            _write_cache(known, cache)
            progress(f"{done} of {len(missing)} images compared with the prompts")
    blank = np.full((len(metric.prompts), 2), np.nan)
    return np.stack([known.get(digest, blank) for digest in files])


def ladder_similarities(
    metric: QualiCLIP,
    photos: Sequence[Tensor],
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> NDArray[np.float64]:
    """Cosine similarities along the ladder of every type.

    Args:
        metric: The model.
        photos: (3, H, W) RGB in [0, 1].
        seed: Of the distortions; the same for all levels of a ladder.
        progress: Receives a line after each photo.

    Returns:
        (photos, types, LEVELS + 1, pairs, 2); level 0 is the photo.
    """
    return along_ladders(photos, lambda image: _similarities(metric, image), seed, progress)


def _similarities(metric: QualiCLIP, image: Tensor) -> NDArray[np.float64]:
    """(1, 3, H, W) -> (pairs, 2)."""
    with torch.inference_mode():
        cosines = metric.similarities(image.to(metric.device))[0]
    array: NDArray[np.float64] = cosines.double().numpy(force=True)
    return array


def _write_cache(known: Mapping[str, NDArray[np.float64]], cache: Path) -> None:
    if not known:
        return
    with atomic_write(cache) as scratch, scratch.open("wb") as file:
        np.savez(file, digests=np.array([*known]), cosines=np.stack([*known.values()]))
