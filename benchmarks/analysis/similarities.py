"""Similarities of images to a model's prompts, computed once and kept.

Knows our models, image files and ladders of distortions. Must not know labels or statistics.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, distort
from qualiclip_metric.files import replacing
from qualiclip_metric.images import ImageError, read
from qualiclip_metric.metric import QualiCLIP

__all__ = ["of_files", "of_ladders"]

Floats = NDArray[np.float64]
Tell = Callable[[str], None]
EVERY = 100
"""Images between two messages, and between two writings of the cache."""


def of_files(metric: QualiCLIP, files: Mapping[str, str], cache: Path, tell: Tell) -> Floats:
    """Similarities to files, (files, pairs, 2); NaN for a file that cannot be read.

    Args:
        metric: The model.
        files: Digest -> path.
        cache: Earlier answers by digest, extended. It must belong to this model alone.
        tell: Told about progress and about files that cannot be read.
    """
    known: dict[str, Floats] = {}
    if cache.is_file():
        with np.load(cache) as held:
            known = dict(zip(held["digests"].tolist(), held["cosines"], strict=True))
    missing = [digest for digest in files if digest not in known]
    for done, digest in enumerate(missing, start=1):
        try:
            known[digest] = _one(metric, read(files[digest]))
        except ImageError as error:
            tell(str(error))
        if done % EVERY == 0 or done == len(missing):
            _keep(known, cache)
            tell(f"{done} of {len(missing)} images compared with the prompts")
    blank = np.full((len(metric.prompts), 2), np.nan)
    return np.stack([known.get(digest, blank) for digest in files])


def of_ladders(
    metric: QualiCLIP, photos: Sequence[Tensor], seed: int, tell: Tell = lambda text: None
) -> Floats:
    """Similarities along every ladder, (photos, types, LEVELS + 1, pairs, 2), photo first.

    Args:
        metric: The model.
        photos: (3, H, W) RGB in [0, 1].
        seed: Of the distortions; the same for all levels of a ladder.
        tell: Told about progress.
    """
    shape = (len(photos), len(DISTORTIONS), LEVELS + 1, len(metric.prompts), 2)
    cosines = np.empty(shape)
    for i, photo in enumerate(photos):
        cosines[i, :, 0] = _one(metric, photo)
        for t, name in enumerate(DISTORTIONS):
            for level in range(1, LEVELS + 1):
                rng = torch.Generator().manual_seed(seed + i)
                cosines[i, t, level] = _one(metric, distort(photo[None], name, level, rng)[0])
        tell(f"ladders of {i + 1} of {len(photos)} photos")
    return cosines


def _one(metric: QualiCLIP, image: Tensor) -> Floats:
    with torch.inference_mode():
        cosines: Floats = (
            metric.similarities(image[None].to(metric.device))[0].double().numpy(force=True)
        )
    return cosines


def _keep(known: Mapping[str, Floats], cache: Path) -> None:
    """Write the cache; it appears whole or not at all."""
    with replacing(cache) as scratch, scratch.open("wb") as file:
        np.savez(file, digests=np.array([*known]), cosines=np.stack([*known.values()]))
