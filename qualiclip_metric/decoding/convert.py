"""A Pillow image of any mode -> an array of RGB.

What a viewer would show is what is scored: EXIF orientation is applied, palettes are resolved, grey
becomes three equal channels, 16-bit grey is scaled by its range, CMYK is converted, and
transparency is laid over a stated background. As everywhere in the field, the colour profile of an
RGB image is not applied: its numbers are taken as they are.
"""

from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

RGB = tuple[int, int, int]
WHITE = (255, 255, 255)
BAND_PIXELS = 2**24
"""Pixels that are converted at once: several copies of them exist for a while."""


def to_pixels(image: Image.Image, background: RGB = WHITE) -> NDArray[Any]:
    """Convert an image, turned upright.

    Args:
        image: Of any mode. Its pixels may be turned in place.
        background: RGB in 0..255 under transparent pixels.

    Returns:
        (H, W, 3) RGB: uint8 in 0..255, or float32 in [0, 1] where the image has more than 8 bits.
        Perhaps a view of one channel where all three are equal.

    Raises:
        ValueError: When values of more than 8 bits are not finite, or lie outside [0, 1].
    """
    image.load()
    with suppress(Exception):  # damaged EXIF raises anything, and is no reason not to score
        ImageOps.exif_transpose(image, in_place=True)
    width, height = image.size
    if width * height <= BAND_PIXELS:
        return as_rgb(_converted(image, background))
    step = max(1, BAND_PIXELS // width)
    array: NDArray[Any] | None = None
    for top in range(0, height, step):
        bottom = min(height, top + step)
        band = _converted(image.crop((0, top, width, bottom)), background)
        if array is None:
            array = np.empty((height, *band.shape[1:]), band.dtype)
        array[top:bottom] = band
    assert array is not None
    return as_rgb(array)


def as_rgb(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1 or 3) -> (H, W, 3); a single channel is shown three times, not copied."""
    return np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array


def _converted(image: Image.Image, background: RGB) -> NDArray[Any]:
    """(H, W, 3) of what is upright; (H, W, 1) of deep grey."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image, background)
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    elif image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _from_cmyk(image: Image.Image) -> Image.Image:
    """RGB by the ink profile in the file, or by the plain complement where there is none."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:  # a damaged profile, or one of another colour space
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _from_deep_grey(image: Image.Image, background: RGB) -> NDArray[Any]:
    """Grey with more than 8 bits: 16-bit integers by their range, floats taken as [0, 1]."""
    values = np.asarray(image).astype(np.float32)
    transparent = image.info.get("transparency")
    hidden = None if transparent is None else values == transparent
    if image.mode != "F":
        values /= 65535
    if not np.isfinite(values).all():
        raise ValueError(f"mode {image.mode} with values that are not finite")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{'floats' if image.mode == 'F' else 'integers, as shares of 65535,'} from "
            f"{values.min():g} to {values.max():g}; expected [0, 1]"
        )
    if hidden is None:
        return values[..., None]
    rgb = np.repeat(values[..., None], 3, axis=2)
    rgb[hidden] = np.array(background, np.float32) / 255
    return rgb
