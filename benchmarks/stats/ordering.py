"""Does a score order the levels of a distortion: the share of level pairs in the right order."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ordered_pairs"]


def ordered_pairs(scores: ArrayLike) -> NDArray[np.float64]:
    """Share of the pairs of levels whose milder level scores strictly higher; a tie is wrong.

    ``#{i < j : s_i > s_j} / (L (L - 1) / 2)`` over the L >= 2 levels of a ladder (last axis,
    mildest first); 0.5 is what a score gives that knows nothing of the level.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ValueError(f"expected at least two levels, got scores of shape {values.shape}")
    mild, severe = np.triu_indices(values.shape[-1], k=1)
    shares: NDArray[np.float64] = (values[..., mild] > values[..., severe]).mean(axis=-1)
    return shares
