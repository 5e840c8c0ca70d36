"""A map over a photo, in colour.

The photo is grey under the map, so that a colour always means the map's value. The colour is never
opaque, so that the photo is seen everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qualiclip_metric.extras import require

OPACITY = (0.15, 0.65)
"""Of the colour where the map is 0 and where it is 1."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def overlay(photo: NDArray[Any], values: NDArray[Any], colours: str) -> NDArray[Any]:
    """Draw a map's colours over the grey photo; (h, w, 3) RGB, uint8, and values in [0, 1]."""
    matplotlib = require("matplotlib", "explain", "maps in colour")
    coloured = np.asarray(matplotlib.colormaps[colours](values)[..., :3], np.float32)
    opacity = OPACITY[0] + (OPACITY[1] - OPACITY[0]) * values[..., None]
    mixed = (1 - opacity) * grey(photo) + opacity * coloured
    return np.asarray((mixed * 255).round(), np.uint8)


def grey(photo: NDArray[Any]) -> NDArray[Any]:
    """Luma of a photo: (h, w, 3) uint8 -> (h, w, 1) in [0, 1]."""
    return np.asarray((photo.astype(np.float32) @ _LUMA)[..., None] / 255)


def bar(colours: str) -> NDArray[Any]:
    """Draw the legend: an overlay's colours from 0 to 1 over middle grey, (1, 256, 3) uint8."""
    middle = np.full((1, 256, 3), 128, np.uint8)
    return overlay(middle, np.linspace(0, 1, 256, dtype=np.float32)[None], colours)
