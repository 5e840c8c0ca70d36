"""Photos that scikit-image ships, for whatever needs real photos without a download."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = ("astronaut", "chelsea", "coffee", "rocket")
"""The colour photos inside scikit-image's wheel. astronaut and rocket are public domain (NASA,
SpaceX), chelsea and coffee CC0."""


def sample_photo(name: str) -> "NDArray[np.uint8]":
    """A photo of `skimage.data`.

    Args:
        name: One of `NAMES`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImportError: Where scikit-image is not installed, with the cure.
    """
    try:
        from skimage import data
    except ImportError as err:
        raise ImportError(
            "the sample photos come with scikit-image: pip install scikit-image"
        ) from err
    photo: NDArray[np.uint8] = getattr(data, name)()
    return photo
