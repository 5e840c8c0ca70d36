"""Known images of golden scores: computed, or photos that scikit-image ships.

numpy and scikit-image are imported only when an image is made.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qualiclip_metric.sample_photos import sample_photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


def _gradient() -> "Pixels":
    """A smooth colour ramp, 160x224."""
    import numpy as np

    y, x = np.mgrid[0:160, 0:224]
    return np.stack([x * 255 // 223, y * 255 // 159, (x + y) * 255 // 382], axis=2).astype(np.uint8)


def _checker() -> "Pixels":
    """Sharp 16-pixel squares, 192x192."""
    import numpy as np

    y, x = np.mgrid[0:192, 0:192]
    grey = np.where((x // 16 + y // 16) % 2 == 0, 230, 25).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _noise() -> "Pixels":
    """Noise of a linear congruential generator, 128x160: the same on every platform."""
    import numpy as np

    state, values = 12345, np.empty(128 * 160 * 3, dtype=np.uint8)
    for index in range(len(values)):
        state = (1103515245 * state + 12345) % 2**31
        values[index] = state >> 16 & 255
    return values.reshape(128, 160, 3)


def _photo(name: str) -> Callable[[], "Pixels"]:
    """A photo that scikit-image ships."""
    return partial(sample_photo, name)


def _blurred(photo: Callable[[], "Pixels"]) -> Callable[[], "Pixels"]:
    """A 9x9 box blur in integers."""

    def blur() -> "Pixels":
        import numpy as np

        sums = photo().astype(np.int64)
        for axis in (0, 1):
            widths = [(4, 4) if a == axis else (0, 0) for a in range(3)]
            padded = np.pad(sums, widths, mode="edge")
            count = sums.shape[axis]
            sums = np.stack(
                [np.take(padded, range(i, i + count), axis=axis) for i in range(9)]
            ).sum(axis=0)
        blurred: Pixels = (sums // 81).astype(np.uint8)
        return blurred

    return blur


def _speckled(photo: Callable[[], "Pixels"]) -> Callable[[], "Pixels"]:
    """The photo plus the congruential noise, tiled."""

    def speckle() -> "Pixels":
        import numpy as np

        pixels = photo().astype(np.int64)
        height, width, _ = pixels.shape
        tiles = (height // 128 + 1, width // 160 + 1, 1)
        noise = np.tile(_noise().astype(np.int64), tiles)[:height, :width]
        noisy: Pixels = np.clip(pixels + (noise - 128) // 3, 0, 255).astype(np.uint8)
        return noisy

    return speckle


_CAT = _photo("chelsea")

IMAGES: dict[str, Callable[[], "Pixels"]] = {
    "code/gradient": _gradient,
    "code/checker": _checker,
    "code/noise": _noise,
    "skimage/astronaut": _photo("astronaut"),
    "skimage/coffee": _photo("coffee"),
    "skimage/rocket": _photo("rocket"),
    "skimage/chelsea": _CAT,
    "skimage/chelsea, blurred": _blurred(_CAT),
    "skimage/chelsea, noisy": _speckled(_CAT),
}
"""The known images: name -> function that gives (H, W, 3) uint8 RGB."""
