"""A function of images, evaluated along the ladder of every distortion type of every photo."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, versions

__all__ = ["along_ladders"]


def along_ladders(
    photos: Sequence[Tensor],
    evaluate: Callable[[Tensor], NDArray[np.float64]],
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> NDArray[np.float64]:
    """Values of every photo and of all its distorted versions.

    Args:
        photos: (3, H, W) RGB in [0, 1], undistorted.
        evaluate: (1, 3, H, W) -> values of one shape for every image.
        seed: Photo ``i`` is distorted from the seed ``seed + i``, the same for every type.
        progress: Receives a line of text after each photo.

    Returns:
        (photos, types, LEVELS + 1, *shape of the values); level 0 is the photo itself.
    """
    found = []
    for i, photo in enumerate(photos):
        own = evaluate(photo[None])
        values = np.empty((len(DISTORTIONS), LEVELS + 1, *own.shape))
        values[:, 0] = own
        rows = {name: row for row, name in enumerate(DISTORTIONS)}
        for name, level, version in versions(photo[None], seed + i):
            values[rows[name], level] = evaluate(version)
        found.append(values)
        progress(f"ladders of {i + 1} of {len(photos)} photos")
    return np.stack(found)
