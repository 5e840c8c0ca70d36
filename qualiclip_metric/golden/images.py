"""Known images of golden scores: computed, or photos that scikit-image ships.

numpy is imported only when an image is made: the pytest plugin imports this module in every run.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qualiclip_metric.sample_photos import sample_photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    """(H, W, 3) RGB."""


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


def _blurred_cat() -> "Pixels":
    """A 9x9 box blur in integers."""
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    padded = np.pad(sample_photo("chelsea"), ((4, 4), (4, 4), (0, 0)), mode="edge")
    windows = sliding_window_view(padded, (9, 9), axis=(0, 1))  # (h, w, 3, 9, 9)
    blurred: Pixels = (windows.sum(axis=(3, 4), dtype=np.int64) // 81).astype(np.uint8)
    return blurred


def _noisy_cat() -> "Pixels":
    """The photo plus the congruential noise, tiled."""
    import numpy as np

    pixels = sample_photo("chelsea").astype(np.int64)
    height, width, _ = pixels.shape
    tiles = (height // 128 + 1, width // 160 + 1, 1)
    noise = np.tile(_noise().astype(np.int64), tiles)[:height, :width]
    noisy: Pixels = np.clip(pixels + (noise - 128) // 3, 0, 255).astype(np.uint8)
    return noisy


IMAGES: dict[str, Callable[[], "Pixels"]] = {
    "code/gradient": _gradient,
    "code/checker": _checker,
    "code/noise": _noise,
    "skimage/astronaut": partial(sample_photo, "astronaut"),
    "skimage/coffee": partial(sample_photo, "coffee"),
    "skimage/rocket": partial(sample_photo, "rocket"),
    "skimage/chelsea": partial(sample_photo, "chelsea"),
    "skimage/chelsea, blurred": _blurred_cat,
    "skimage/chelsea, noisy": _noisy_cat,
}
"""The known images: name -> function that makes it."""
