"""A Pillow image of any mode -> an array of RGB, as a viewer would show it.

EXIF orientation is applied, palettes are resolved, grey becomes three equal channels, 16-bit grey
is scaled by its range, CMYK is converted, transparency is laid over a stated background, and
colours are converted to sRGB (`colour`).
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from qualiclip_metric.decoding.colour import Colour, icc_transform, to_srgb

RGB = tuple[int, int, int]
WHITE = (255, 255, 255)
BAND_PIXELS = 2**24
"""Pixels that are converted at once: several copies of them exist for a while."""

_Convert = Callable[[Image.Image], Image.Image]


def to_pixels(image: Image.Image, background: RGB = WHITE, colour: Colour = "srgb") -> NDArray[Any]:
    """Convert an image, turned upright (perhaps in place), as `decode.pixels` returns it.

    (H, W, 3), perhaps a view of one channel where all three are equal. Raises ValueError when
    values of more than 8 bits are not finite, or lie outside [0, 1].
    """
    image.load()
    _drop_xmp(image)
    with suppress(Exception):  # damaged EXIF raises anything, and is no reason not to score
        ImageOps.exif_transpose(image, in_place=True)
    convert = to_srgb(image) if colour == "srgb" else None
    width, height = image.size
    if width * height <= BAND_PIXELS:
        return as_rgb(_converted(image, background, convert))
    step = max(1, BAND_PIXELS // width)
    array: NDArray[Any] | None = None
    for top in range(0, height, step):
        bottom = min(height, top + step)
        band = _converted(image.crop((0, top, width, bottom)), background, convert)
        if array is None:
            array = np.empty((height, *band.shape[1:]), band.dtype)
        array[top:bottom] = band
    assert array is not None
    return as_rgb(array)


def copy_with_exif(image: Image.Image) -> Image.Image:
    """A copy with the EXIF block of the original, which Pillow does not copy from a TIFF."""
    hidden = _drop_xmp(image)
    copy = image.copy()
    with suppress(Exception):  # damaged EXIF raises anything
        copy.info.setdefault("exif", image.getexif().tobytes())
    image.info.update(hidden)
    return copy


def _drop_xmp(image: Image.Image) -> dict[str | tuple[int, int], Any]:
    """Keep Pillow from reading an orientation in XMP, which browsers ignore."""
    keys = ("xmp", "XML:com.adobe.xmp")
    return {key: image.info.pop(key) for key in keys if key in image.info}


def as_rgb(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1 or 3) -> (H, W, 3); a single channel is shown three times, not copied."""
    return np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array


def _converted(image: Image.Image, background: RGB, convert: _Convert | None) -> NDArray[Any]:
    """(H, W, 3) of an upright image; (H, W, 1) of deep grey."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image, background, convert)
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    elif image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        if convert is not None:
            alpha = rgba.getchannel("A")
            rgba = _without_alpha(rgba, image.mode, convert)
            rgba.putalpha(alpha)
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba)
    elif convert is not None:
        image = _without_alpha(image, image.mode, convert)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _without_alpha(image: Image.Image, mode: str, convert: _Convert) -> Image.Image:
    """SRGB of an image that had the given mode in its file."""
    return convert(image.convert("L" if mode in ("1", "L", "LA", "La") else "RGB"))


def _from_cmyk(image: Image.Image) -> Image.Image:
    """RGB by the ink profile in the file, or by the plain complement where there is none."""
    profile = image.info.get("icc_profile")
    transform = icc_transform(profile, "CMYK") if profile else None
    return image.convert("RGB") if transform is None else transform.apply(image)


def _from_deep_grey(image: Image.Image, background: RGB, convert: _Convert | None) -> NDArray[Any]:
    """Grey with more than 8 bits: 16-bit integers by their range, floats taken as [0, 1]."""
    values = np.asarray(image).astype(np.float32)
    transparent = image.info.get("transparency")
    hidden = None if transparent is None else values == transparent
    if image.mode != "F":
        values /= 65535
    check_range(values, "floats" if image.mode == "F" else "integers, as shares of 65535,")
    if convert is not None:
        ramp = convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None]))
        shown = np.asarray(ramp)[0, :, 0] / 255
        values = np.interp(values, np.linspace(0, 1, 256), shown).astype(np.float32)
    if hidden is None:
        return values[..., None]
    rgb = np.repeat(values[..., None], 3, axis=2)
    rgb[hidden] = np.array(background, np.float32) / 255
    return rgb


def check_range(values: NDArray[Any], kind: str) -> None:
    """Raise unless all values are in [0, 1]."""
    if not np.isfinite(values).all():
        raise ValueError(f"{kind} that are not finite; expected [0, 1]")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"{kind} from {values.min():g} to {values.max():g}; expected [0, 1]")
