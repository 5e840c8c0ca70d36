"""Occlusion: how the score moves when a place is covered. Needs no gradient.

What covers is the image's own strong blur, let in through a soft-edged mask. A grey or black patch
would be a fault of its own, with four new edges; a blur that is as wide as the patch keeps the
local colour and takes away everything finer, good detail and noise, blocks or ringing alike. It is
not neutral either: a smooth patch is less sharp. But the same is done at every place, so that the
differences between places are what counts, and the map is stretched for that reason. Where the
image is smooth already, covering changes nothing: such a place ranks above detail, whose loss
lowers the score, and below noise, whose loss raises it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from qualiclip_metric.explanations.local import BATCH_PIXELS
from qualiclip_metric.explanations.stretch import stretch
from qualiclip_metric.explanations.windows import Axis, axis, blend
from qualiclip_metric.metric import QualiCLIP

PATCHES = 4
"""Patches along the longer side, without overlap; they are half a patch apart."""
SMALLEST = 16
"""Least side of a patch, px."""
NOISE = 1e-5
"""Changes of the score below this are rounding."""


def occlusion(metric: QualiCLIP, img: Tensor, pairs: Sequence[int]) -> Tensor:
    """The score's change when the places around each pixel are covered, stretched per image.

    Costs at most 50 scorings of the image, whatever its size.
    """
    return stretch(torch.stack([_rise(metric, one, list(pairs))[None] for one in img]), NOISE)


def _rise(metric: QualiCLIP, img: Float[Tensor, "3 h w"], pairs: list[int]) -> Float[Tensor, "h w"]:
    height, width = img.shape[1:]
    side = max(SMALLEST, -(-max(height, width) // PATCHES))
    rows, columns = (axis(size, side, -(-side // 2)) for size in (height, width))
    fill = smoothed(img, side)
    places = [(row, column) for row in _masks(rows) for column in _masks(columns)]
    count = max(1, BATCH_PIXELS // (height * width))
    scores = []
    for first in range(0, len(places), count):
        masks = torch.stack(
            [row[:, None] * column for row, column in places[first : first + count]]
        )
        covered = torch.lerp(img, fill, masks[:, None].to(img))
        scores.append(metric.probabilities(covered)[:, pairs].mean(dim=1))
    before = metric.probabilities(img[None])[:, pairs].mean()
    grid = torch.cat(scores).reshape(len(rows.starts), len(columns.starts))
    return blend((grid - before).float(), rows, columns)


def smoothed(img: Float[Tensor, "3 h w"], side: int) -> Float[Tensor, "3 h w"]:
    """A strong blur, about as wide as `side`: two passes of a box of half of it, edges mirrored."""
    radius = [min(side // 4, size - 1) for size in img.shape[1:]]
    kernel = [2 * r + 1 for r in radius]
    around = (radius[1], radius[1], radius[0], radius[0])
    for _ in range(2):
        img = pad(img[None], around, mode="reflect")[0]
        img = avg_pool2d(img[None], (kernel[0], 1), stride=1)
        img = avg_pool2d(img, (1, kernel[1]), stride=1)[0]
    return img


def _masks(side: Axis) -> Float[Tensor, "windows size"]:
    """1 in the middle half of each window, falling to 0 at its ends; 1 up to the image's edges.

    Neighbours are half a window apart at most, so that every pixel is fully covered once.
    """
    place = torch.arange(side.size) + 0.5
    middle = torch.tensor(side.starts)[:, None] + side.window / 2
    masks = (2 - (place - middle).abs() * 4 / side.window).clamp(0, 1)
    masks[0, place < middle[0]] = 1
    masks[-1, place > middle[-1]] = 1
    return masks
