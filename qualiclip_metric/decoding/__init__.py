"""Image files and Pillow images -> arrays of RGB, as a viewer would show them. No torch."""

from qualiclip_metric.decoding.colour import Colour
from qualiclip_metric.decoding.convert import RGB, WHITE, to_pixels
from qualiclip_metric.decoding.decode import pixels, size
from qualiclip_metric.decoding.source import Encoded, ImageError, Source
from qualiclip_metric.limits import MAX_PIXELS

__all__ = [
    "MAX_PIXELS",
    "RGB",
    "WHITE",
    "Colour",
    "Encoded",
    "ImageError",
    "Source",
    "pixels",
    "size",
    "to_pixels",
]
