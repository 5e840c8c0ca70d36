"""Real photos without a download: those that scikit-image ships."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CREDITS = {
    "astronaut": "Eileen Collins by NASA, public domain",
    "chelsea": "Chelsea by Stefan van der Walt, CC0",
    "coffee": "Coffee by Rachel Michetti, CC0",
    "rocket": "DSCOVR launch by SpaceX, public domain",
}
"""Colour photos inside scikit-image's wheel -> who made them, and their licence."""
NAMES = tuple(CREDITS)


def sample_photo(name: str) -> "NDArray[np.uint8]":
    """Load a photo of `skimage.data`, one of `NAMES`, as (H, W, 3) uint8 RGB."""
    try:
        from skimage import data
    except ImportError as err:
        raise ImportError(
            "the sample photos come with scikit-image: pip install scikit-image"
        ) from err
    photo: NDArray[np.uint8] = getattr(data, name)()
    return photo
