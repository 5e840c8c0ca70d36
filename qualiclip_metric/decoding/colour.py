"""Colours of a file -> sRGB, as viewers show them: ICC profiles and code points (CICP).

ICC profiles go through LittleCMS, perceptual intent. A profile that does not fit the image's mode
or is damaged is ignored, as browsers do; one that equals sRGB within one level changes nothing.

HDR (PQ, HLG) is tone-mapped to SDR: light relative to the reference white of 203 cd/m2 (ITU-R
BT.2408), scaled per pixel by the extended Reinhard operator (1 + m / w^2) / (1 + m) with m the
largest of its three channels and w the largest value of the image, at least 1; then to sRGB's
primaries, clipped. HLG is shown as on a display of 1000 cd/m2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Colour = Literal["srgb", "raw"]
"""`srgb`: colours are converted to sRGB as viewers do; `raw`: the numbers of the file are kept."""

Floats = NDArray[np.floating[Any]]

SDR_WHITE = 203.0
"""Luminance of white in HDR material, cd/m2 (ITU-R BT.2408)."""
HLG_PEAK = 1000.0
"""Nominal peak of a display of HLG, cd/m2 (ITU-R BT.2100)."""
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])

_TO_SRGB = {
    9: np.array(  # BT.2020
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349],
         [-0.018151, -0.100579, 1.118730]]
    ),
    12: np.array(  # Display P3
        [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]
    ),
}  # fmt: skip
"""Primaries (ITU-T H.273) -> matrix from their linear light to that of sRGB; others are taken as
sRGB's."""


def to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Make the conversion to sRGB that an image's `icc_profile` or `cicp` asks for.

    It maps a piece of the image, `L` or `RGB`, to `RGB`; None where its numbers are sRGB's or
    unknown.
    """
    profile, cicp = image.info.get("icc_profile"), image.info.get("cicp")
    if profile:  # where a file has both, browsers take the profile
        cicp = _cicp_in(profile)
    if cicp is not None and cicp[1] in _DISPLAY_LIGHT:
        highest = max(high for _, high in _ranges(image)) / 255
        return _Tonemap(cicp[0], cicp[1], highest)
    if profile:
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        transform = icc_transform(profile, "L" if grey else "RGB")
        # LittleCMS allows any number of threads
        return None if transform is None else transform.apply
    if cicp is not None and (cicp[0] in _TO_SRGB or cicp[1] in _SDR_LIGHT):
        return _Tonemap(cicp[0], cicp[1], peak=0)
    return None


@lru_cache(maxsize=64)
def icc_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make a transform to sRGB, once per profile, of images of mode `L`, `RGB` or `CMYK`.

    None for a damaged profile, one of another colour space, and one that changes no value of `L` or
    `RGB` by more than one level of 255.
    """
    try:
        transform = ImageCms.buildTransform(
            BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
        if mode == "CMYK":
            return transform
        before = _samples(mode)
        after = transform.apply(before)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    change = np.asarray(after, int) - np.asarray(before.convert("RGB"), int)
    return None if np.abs(change).max() <= 1 else transform


def _samples(mode: str) -> Image.Image:
    """All greys, or colours on a grid of nine levels per channel."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1)  # (9, 9, 9, 3)
    return Image.fromarray(grid.reshape(1, -1, 3))


def _cicp_in(profile: bytes) -> tuple[int, int] | None:
    """Primaries and transfer in the `cicp` tag of an ICC profile (ICC.1:2022, 10.3)."""
    tags = int.from_bytes(profile[128:132], "big")
    for start in range(132, min(132 + 12 * tags, len(profile)), 12):
        if profile[start : start + 4] == b"cicp":
            at = int.from_bytes(profile[start + 4 : start + 8], "big")
            return (profile[at + 8], profile[at + 9]) if at + 9 < len(profile) else None
    return None


def _ranges(image: Image.Image) -> list[tuple[float, float]]:
    """Least and largest value of each colour channel, of 255."""
    if image.mode.startswith("I") or image.mode == "F":
        low, high = image.getextrema()
        scale = 1 / 255 if image.mode == "F" else 257
        return [(float(low) / scale, float(high) / scale)]  # type: ignore[arg-type]
    return list(image.convert("RGB").getextrema())  # type: ignore[arg-type]


def _pq(code: Floats) -> Floats:
    """SMPTE ST 2084: signal in [0, 1] -> displayed light in units of SDR white."""
    root = code ** (32 / 2523)
    ratio = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(ratio ** (16384 / 2610) * (10_000 / SDR_WHITE))


def _hlg(code: Floats) -> Floats:
    """ITU-R BT.2100: signal in [0, 1] -> light of the scene in [0, 1], the OOTF comes later."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _srgb(code: Floats) -> Floats:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


_DISPLAY_LIGHT: dict[int, Callable[[Floats], Floats]] = {16: _pq, 18: _hlg}
"""Transfer characteristics of HDR by their number in ITU-T H.273."""
_SDR_LIGHT: dict[int, Callable[[Floats], Floats]] = {
    4: lambda code: code**2.2,
    5: lambda code: code**2.8,
    8: lambda code: code,
}
"""The same of SDR; others, and those of video with sRGB's primaries, are taken as sRGB's."""
_VIDEO: dict[int, Callable[[Floats], Floats]] = dict.fromkeys(
    (1, 6, 14, 15), lambda code: code**2.4
)
"""BT.709, BT.601 and BT.2020 as displays show them (BT.1886), as Chromium takes them."""


@dataclass(frozen=True)
class _Tonemap:
    """Conversion of ITU-T H.273 primaries and transfer to sRGB.

    `peak` is the image's largest signal in [0, 1].
    """

    primaries: int
    transfer: int
    peak: float

    def __call__(self, piece: Image.Image) -> Image.Image:
        codes = np.asarray(piece.convert("RGB"))
        light = self._light(np.arange(256) / 255).astype(np.float32)[codes]  # (H, W, 3)
        if self.transfer in _DISPLAY_LIGHT:
            light = self._display(light)
            brightest = self._display(np.full(3, self._light(np.array(self.peak))))
            white = max(1.0, float(brightest.max()))
            largest = light.max(axis=-1, keepdims=True)
            light *= (1 + largest / white**2) / (1 + largest)
        if self.primaries in _TO_SRGB:
            light = light @ _TO_SRGB[self.primaries].T.astype(np.float32)
        light = light.clip(0, 1)
        shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        return Image.fromarray((shown * 255).round().astype(np.uint8))

    def _light(self, code: Floats) -> Floats:
        return {**_SDR_LIGHT, **_VIDEO, **_DISPLAY_LIGHT}.get(self.transfer, _srgb)(code)

    def _display(self, light: Floats) -> Floats:
        """Of HLG: light of the scene -> of the display, system gamma 1.2, by its luminance."""
        if self.transfer != 18:
            return light
        luminance = (light @ BT2020_LUMA.astype(light.dtype))[..., None]
        return np.asarray(light * luminance**0.2 * (HLG_PEAK / SDR_WHITE))
