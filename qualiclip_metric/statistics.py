"""Pixel statistics of images: brightness, contrast, clipping, colour, sharpness, noise, blocks.

They do not measure quality: a bokeh has a low sharpness and a night scene is dark. Curators filter
by them, and the diagnosis takes them as inputs beside the network's features.

Luma is that of ITU-R BT.601 on the sRGB values, Y = .299 R + .587 G + .114 B; chroma is that of
JPEG, Cb = (B - Y) / 1.772 and Cr = (R - Y) / 1.402. Grey levels are 0 to 255.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.statistic_names import STATISTICS

BLOCK = 8
"""Side of the blocks of JPEG, px."""
STRIP_PIXELS = 2**21
"""Pixels of a large image that are float32 at the same time."""

_LUMA = (0.299, 0.587, 0.114)
_CLIPPED = 2.5  # grey levels: 0, 1, 2 are black and 253, 254, 255 white; noise reaches that far
_BINS = 1024  # of the histogram of noise responses, a quarter of a grey level each
_LEAST = 0.1  # grey levels, added to both differences of the blockiness: a flat image has none


def statistics(img: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 8"]:
    """Compute the pixel statistics of images at their own size.

    Args:
        img: RGB in [0, 1], at least 16x16.

    Returns:
        (N, 8), a column for each of `STATISTICS`:

        - brightness, [0, 1]: mean of the luma.
        - contrast, [0, .5]: standard deviation of the luma (RMS contrast; Peli, JOSA A 7, 1990).
        - clipped_dark, clipped_bright, [0, 1]: share of the pixels whose luma is below 2.5 or above
          252.5 grey levels.
        - colourfulness, >= 0, grey levels: M3 of Hasler and Süsstrunk (SPIE 5007, 2003); 0 grey,
          33 moderately, 82 highly colourful.
        - sharpness, >= 0, squared grey levels: variance of the luma's Laplacian with 4 neighbours
          (Pech-Pacheco et al., ICPR 2000).
        - noise, >= 0, grey levels: standard deviation of white noise in the luma, from the median
          response of Immerkaer's operator (CVIU 64, 1996) over 6 * .6745. Fine texture
          over more than half of the image counts as noise; a flat image has .03, half a step of
          the histogram that the median is taken from.
        - blockiness, >= 1: mean absolute step of the luma across the borders of 8x8 blocks over
          that elsewhere, for the grid's offset where it is largest, averaged over both
          directions; about 1 without blocks (after Wang et al., ICIP 2002).
    """
    return torch.stack([_finish(_sums(one)) for one in img])


def statistics_of_pixels(pixels: NDArray[Any]) -> dict[str, float]:
    """Compute `statistics` of pixels (H, W, 3), uint8 in 0..255 or float32 in [0, 1], by name.

    The image is read in strips, so that memory stays small; results differ from `statistics` only
    by the order of sums.
    """
    height, width, _ = pixels.shape
    scale = 255 if pixels.dtype == np.uint8 else 1
    step = max(BLOCK, STRIP_PIXELS // width // BLOCK * BLOCK)
    total: dict[str, Tensor] = {}
    for top in range(0, height, step):
        # two more rows, so that every 3x3 window lies in one strip
        part = np.divide(pixels[top : top + step + 2], np.float32(scale), dtype=np.float32)
        last = top + step + 2 >= height
        for name, value in _sums(torch.from_numpy(part).permute(2, 0, 1), step, last).items():
            total[name] = total[name] + value if name in total else value
        if last:
            break
    return dict(zip(STATISTICS, _finish(total).tolist(), strict=True))


def luma_and_chroma(rgb: Float[Tensor, "3 h w"]) -> tuple[Tensor, Tensor, Tensor]:
    """Y in [0, 1], Cb and Cr in [-.5, .5], each (H, W)."""
    red, green, blue = rgb.float()
    luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return luma, (blue - luma) / 1.772, (red - luma) / 1.402


def noise_responses(channel: Float[Tensor, "h w"]) -> Float[Tensor, "h2 w2"]:
    """Response of Immerkaer's operator, 0 on edges and slopes; 6 times the sigma of white noise."""
    rows = channel[:-2] - 2 * channel[1:-1] + channel[2:]
    return rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]


def quantiles(histogram: Float[Tensor, " bins"], *shares: float) -> Float[Tensor, " shares"]:
    """Quantiles from a histogram, in bins, interpolated within a bin."""
    below = histogram.double().cumsum(0)
    found = []
    for share in shares:
        wanted = share * float(below[-1])
        place = min(int((below < wanted).sum()), len(below) - 1)
        before = float(below[place - 1]) if place else 0.0
        inside = float(histogram[place])
        found.append(place + ((wanted - before) / inside if inside else 0.0))
    return torch.tensor(found)


def noise_sigma(channel: Float[Tensor, "h w"]) -> float:
    """Standard deviation of white noise in a channel of grey levels; see `statistics`."""
    return _sigma(_histogram(noise_responses(channel)))


def _sums(
    rgb: Float[Tensor, "3 h w"], rows: int | None = None, last: bool = True
) -> dict[str, Tensor]:
    """Sums over an image in [0, 1], or over a strip of it with the two rows that follow.

    `rows` is the height of the strip without those two, a multiple of `BLOCK`; with `last` the
    image ends here.
    """
    own = slice(None, None if last else rows)
    luma = luma_and_chroma(rgb)[0] * 255  # (H, W), in grey levels, as is the rest
    levels = rgb[:, own].float() * 255
    red_green = levels[0] - levels[1]
    yellow_blue = (levels[0] + levels[1]) / 2 - levels[2]
    y = luma[own]
    middle = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * middle
    across = (y[:, 1:] - y[:, :-1]).abs().sum(dim=0)  # (W - 1,)
    down = (luma[1:] - luma[:-1]).abs().sum(dim=1)  # (H - 1,)
    down = down if last else down[:rows]
    found = {
        "pixels": y.new_tensor(float(y.numel())),
        "windows": y.new_tensor(float(laplacian.numel())),
        "dark": (y < _CLIPPED).sum(),
        "bright": (y > 255 - _CLIPPED).sum(),
        "across": _by_offset(across, y.shape[0]),
        "down": _by_offset(down, y.shape[1]),
        "noise": _histogram(noise_responses(luma)),
    }
    for name, values in {
        "y": y,
        "rg": red_green,
        "yb": yellow_blue,
        "laplacian": laplacian,
    }.items():
        found[name] = values.sum()
        found[f"{name}^2"] = values.square().sum()
    return {name: value.cpu().double() for name, value in found.items()}


def _by_offset(steps: Float[Tensor, " n"], each: int) -> Float[Tensor, "2 8"]:
    """Sum and number of steps at each offset of the grid.

    `steps` are the sums of the steps between lines i and i + 1, each over so many pixels.
    """
    offset = torch.arange(1, len(steps) + 1, device=steps.device) % BLOCK
    empty = torch.zeros(BLOCK, device=steps.device)
    counts = torch.full_like(steps, float(each))
    return torch.stack([empty.index_add(0, offset, steps), empty.index_add(0, offset, counts)])


def _histogram(responses: Tensor) -> Float[Tensor, " bins"]:
    return torch.histc(responses.abs().clamp(max=_BINS / 4 - 0.01).cpu(), _BINS, 0, _BINS / 4)


def _sigma(histogram: Float[Tensor, " bins"]) -> float:
    return float(quantiles(histogram, 0.5)) / 4 / 6 / 0.6745


def _finish(sums: dict[str, Tensor]) -> Float[Tensor, " 8"]:
    mean, variance = {}, {}
    for name in ("y", "rg", "yb", "laplacian"):
        count = sums["windows" if name == "laplacian" else "pixels"]
        mean[name] = sums[name] / count
        variance[name] = (sums[f"{name}^2"] / count - mean[name] ** 2).clamp(min=0)
    spread = (variance["rg"] + variance["yb"]).sqrt()
    offset = (mean["rg"] ** 2 + mean["yb"] ** 2).sqrt()
    blockiness = (_ratio(sums["across"]) + _ratio(sums["down"])) / 2
    return torch.stack(
        [
            mean["y"] / 255,
            variance["y"].sqrt() / 255,
            sums["dark"] / sums["pixels"],
            sums["bright"] / sums["pixels"],
            spread + 0.3 * offset,
            variance["laplacian"],
            torch.tensor(_sigma(sums["noise"])).double(),
            blockiness,
        ]
    ).float()


def _ratio(steps: Float[Tensor, "2 8"]) -> Tensor:
    """Largest mean step over the grid's offsets, over the mean step at the others."""
    total, count = steps
    place = int((total / count).argmax())
    others = (total.sum() - total[place]) / (count.sum() - count[place])
    ratio: Tensor = (total[place] / count[place] + _LEAST) / (others + _LEAST)
    return ratio
