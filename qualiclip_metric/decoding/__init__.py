"""Image files and Pillow images -> arrays of RGB, as a viewer would show them. No torch."""

from qualiclip_metric.decoding.convert import RGB, WHITE, to_pixels
from qualiclip_metric.decoding.files import (
    MAX_PIXELS,
    Encoded,
    ImageError,
    Source,
    pixels,
    size,
)

__all__ = [
    "MAX_PIXELS",
    "RGB",
    "WHITE",
    "Encoded",
    "ImageError",
    "Source",
    "pixels",
    "size",
    "to_pixels",
]
