"""The table of distortion types: name, group, fault, the parameter at each level, function.

A new type is one row here and its function; docs, help and tests count the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from qualiclip_metric.distortions import (
    blur,
    color,
    compression,
    noise,
    spatial,
    tone,
)

LEVELS = 5
"""Levels of every ladder: 1 is the mildest."""

FAULTS = ("blur", "noise", "compression", "exposure", "colour")
"""Faults that a diagnosis tells apart, in the order of `prompts.FAULT_PAIRS`."""

Apply = Callable[[Tensor, float, torch.Generator], Tensor]


@dataclass(frozen=True)
class Distortion:
    """One type of distortion.

    Attributes:
        name: Key in `DISTORTIONS`, as in ARNIQA.
        group: Key in `GROUPS`.
        fault: Member of `FAULTS` that people would call it by; None where no diagnosis is trained
            on it (spatial damage, over-sharpening).
        levels: The parameter at level 1 to 5, mildest first.
        apply: ``(img, parameter, rng) -> img``: (N, 3, H, W) fp32 or fp64 in [0, 1] to the same
            shape, not yet clamped. Its draws do not depend on the parameter.
        unit: Meaning and unit of the parameter.
    """

    name: str
    group: str
    fault: str | None
    levels: tuple[float, ...]
    apply: Apply
    unit: str


def _plain(function: Callable[[Tensor, float], Tensor]) -> Apply:
    """Adapt a function that needs no random numbers to `Apply`."""
    return lambda img, value, _rng: function(img, value)


def _row(
    name: str,
    group: str,
    fault: str | None,
    levels: Sequence[int | float],
    apply: Apply,
    unit: str,
) -> Distortion:
    if fault is not None and fault not in FAULTS:
        raise ValueError(f"{name}: expected a fault of {FAULTS} or None, got {fault!r}")
    return Distortion(name, group, fault, tuple(float(level) for level in levels), apply, unit)


# fmt: off
_TABLE = (
    # name, group, fault, parameter at level 1 to 5, function, unit of the parameter
    _row("gaublur", "blur", "blur", (0.5, 1, 1.7, 3, 5),
         _plain(blur.gaussian_blur), "sigma, px"),
    _row("lensblur", "blur", "blur", (1, 2, 4, 6, 8),
         _plain(blur.lens_blur), "radius, px"),
    _row("motionblur", "blur", "blur", (2, 4, 6, 8, 12),
         blur.motion_blur, "length, px"),
    _row("colordiff", "color_distortion", "colour", (1, 1.6, 2.4, 3.6, 5.5),
         _plain(color.color_diffusion), "chroma gain"),
    _row("colorshift", "color_distortion", "colour", (1, 2, 4, 7, 12),
         color.color_shift, "shift, px"),
    _row("colorsat1", "color_distortion", "colour", (0.6, 0.45, 0.3, 0.15, 0),
         _plain(color.desaturate), "HSV saturation factor"),
    _row("colorsat2", "color_distortion", "colour", (2, 2.5, 3.2, 4.2, 5.5),
         _plain(color.oversaturate), "Lab chroma factor"),
    _row("jpeg2000", "jpeg", "compression", (16, 32, 64, 128, 256),
         _plain(compression.jpeg2000), "compression ratio"),
    _row("jpeg", "jpeg", "compression", (43, 27, 16, 8, 4),
         _plain(compression.jpeg), "quality"),
    _row("whitenoise", "noise", "noise", (0.001, 0.002, 0.003, 0.005, 0.01),
         noise.white, "variance, RGB"),
    _row("whitenoiseCC", "noise", "noise", (0.0001, 0.0005, 0.001, 0.002, 0.003),
         noise.white_ycbcr, "variance, YCbCr"),
    _row("impulsenoise", "noise", "noise", (0.001, 0.005, 0.01, 0.02, 0.03),
         noise.impulse, "density"),
    _row("multnoise", "noise", "noise", (0.001, 0.005, 0.01, 0.02, 0.05),
         noise.multiplicative, "variance, relative"),
    _row("brighten", "brightness_change", "exposure", (0.1, 0.18, 0.26, 0.34, 0.42),
         _plain(tone.brighten), "rise of mid-grey"),
    _row("darken", "brightness_change", "exposure", (0.1, 0.18, 0.26, 0.34, 0.42),
         _plain(tone.darken), "fall of mid-grey"),
    _row("meanshift", "brightness_change", "exposure", (0.05, 0.1, 0.15, 0.2, 0.25),
         tone.mean_shift, "offset, either sign"),
    _row("jitter", "spatial_distortion", None, (0.25, 0.5, 0.8, 1.3, 2.2),
         spatial.jitter, "scatter, px"),
    _row("noneccpatch", "spatial_distortion", None, (20, 40, 60, 80, 100),
         spatial.displaced_patches, "patches per 512x384"),
    _row("pixelate", "spatial_distortion", None, (2, 4, 8, 16, 32),
         _plain(spatial.pixelate), "block area, px"),
    _row("quantization", "spatial_distortion", None, (49, 25, 13, 7, 4),
         _plain(spatial.quantize), "values per channel"),
    _row("colorblock", "spatial_distortion", None, (2, 4, 6, 8, 10),
         spatial.color_blocks, "blocks per 512x384"),
    _row("highsharpen", "sharpness_contrast", None, (1.5, 2.5, 4, 6.5, 10),
         _plain(blur.high_sharpen), "unsharp amount"),
    _row("lincontrchange", "sharpness_contrast", "exposure", (0.15, 0.27, 0.39, 0.5, 0.6),
         _plain(tone.flatten_midtones), "curve amount"),
    _row("nonlincontrchange", "sharpness_contrast", "exposure", (0.4, 0.3, 0.2, 0.1, 0.05),
         _plain(tone.narrow_range), "half-width of the output"),
)
# fmt: on

DISTORTIONS: Mapping[str, Distortion] = MappingProxyType({d.name: d for d in _TABLE})
"""The types by name, in the order of the reference's table."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        group: tuple(d.name for d in _TABLE if d.group == group)
        for group in dict.fromkeys(d.group for d in _TABLE)
    }
)
"""The names of the types of each group."""
