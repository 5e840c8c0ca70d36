"""Images as tensors, and as pictures."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qualiclip_metric.decoding import (
    MAX_PIXELS,
    RGB,
    WHITE,
    Colour,
    ImageError,
    Source,
    pixels,
    size,
    to_pixels,
)
from qualiclip_metric.decoding.convert import copy_with_exif

__all__ = [
    "MAX_PIXELS",
    "RGB",
    "WHITE",
    "Colour",
    "ImageError",
    "from_array",
    "pixels",
    "read",
    "size",
    "to_picture",
    "to_pixels",
    "to_tensor",
    "to_uint8",
]


def read(
    path: Source,
    background: RGB = WHITE,
    *,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    colour: Colour = "srgb",
) -> Float[Tensor, "3 h w"]:
    """Read an image as a viewer would show it.

    Args:
        path: A file of any format of `decoding.formats`, or its content (`decoding.Encoded`). Of an
            animation or a multi-page file, the first frame; of a camera's raw data, the picture as
            the camera balanced it.
        background: sRGB in 0..255 under transparent pixels.
        max_pixels: A file whose header states more is refused before anything is decoded.
        allow_truncated: Whether a file that ends too early is read, grey where data is missing.
        colour: `srgb` converts colours to sRGB by the file's profile, as viewers do, and tone-maps
            HDR; `raw` keeps the file's numbers, as pyiqa does.

    Returns:
        (3, H, W), float32 RGB in [0, 1].

    Raises:
        ImageError: When the file is missing, damaged, truncated, too large or no image.

    Example:
        >>> read("photo.jpg").shape  # 128 px wide, 96 px high
        torch.Size([3, 96, 128])
    """
    return from_array(
        pixels(
            path, background, max_pixels=max_pixels, allow_truncated=allow_truncated, colour=colour
        )
    )


def to_tensor(
    image: Image.Image, background: RGB = WHITE, colour: Colour = "srgb"
) -> Float[Tensor, "3 h w"]:
    """Convert a Pillow image of any mode, turned upright, to (3, H, W), float32 RGB in [0, 1].

    Raises ValueError when values of more than 8 bits are not finite, or lie outside [0, 1].
    """
    return from_array(to_pixels(copy_with_exif(image), background, colour))


def to_uint8(img: Tensor) -> UInt8[Tensor, "*shape"]:
    """RGB in [0, 1] -> bytes of the same shape, rounded; values outside are clipped."""
    return img.detach().float().mul(255).round().clamp(0, 255).to("cpu", torch.uint8)


def to_picture(img: Float[Tensor, "3 h w"]) -> Image.Image:
    """RGB in [0, 1] -> an 8-bit Pillow image."""
    return Image.fromarray(to_uint8(img).permute(1, 2, 0).contiguous().numpy())


def from_array(array: NDArray[Any]) -> Float[Tensor, "3 h w"]:
    """(H, W, 3) bytes, or floats in [0, 1] -> (3, H, W) float32 RGB in [0, 1]."""
    scale = 255 if array.dtype == np.uint8 else 1
    # torch knows no negative strides, which array[:, :, ::-1] has
    return torch.tensor(np.ascontiguousarray(array)).permute(2, 0, 1).contiguous().float() / scale
