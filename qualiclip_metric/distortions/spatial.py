"""Jitter, displaced patches, pixelation, quantisation and colour blocks of RGB batches in [0, 1].

Each square lies in a grid cell of its own, so that squares never overlap; a higher count keeps the
squares of a lower one. So more squares are always more damage.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from qualiclip_metric.distortions import _random

_REFERENCE_AREA = 512 * 384  # px for which the counts are given, the size of a KADID-10k image
_SQUARES_PER_SIDE = 12  # a square is at most this fraction of the shorter side
_PATCH = 16  # px
_BLOCK = 32  # px


def jitter(
    img: Float[Tensor, "n 3 h w"], scatter: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Take each pixel from a place near it, displaced normally by ``scatter`` px (std)."""
    count, _, height, width = img.shape
    offset = scatter * _random.normal((height, width, 2), rng, img)
    rows = torch.arange(height, device=img.device, dtype=img.dtype)
    columns = torch.arange(width, device=img.device, dtype=img.dtype)
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1) + offset  # (h, w, 2)
    # px -> [-1, 1] between the borders of the outer pixels, as align_corners=False has it
    grid = (2 * place + 1) / place.new_tensor([width, height]) - 1
    return F.grid_sample(
        img,
        grid.expand(count, -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )


def pixelate(img: Float[Tensor, "n 3 h w"], area: float) -> Float[Tensor, "n 3 h w"]:
    """Replace blocks of ``area`` px, a power of 2, by their mean; square or twice as wide as high.

    Blocks of a larger area are unions of those of a smaller one, so the squared distance to the
    original can only grow with the area (Pythagoras).
    """
    height, width = img.shape[-2:]
    doublings = round(math.log2(area))
    tall, wide = 2 ** (doublings // 2), 2 ** ((doublings + 1) // 2)
    means = F.avg_pool2d(img, (tall, wide), ceil_mode=True, count_include_pad=False)
    blocks = means.repeat_interleave(tall, dim=2).repeat_interleave(wide, dim=3)
    return blocks[..., :height, :width]


def quantize(img: Float[Tensor, "n 3 h w"], classes: float) -> Float[Tensor, "n 3 h w"]:
    """Round each sample to the nearest of ``classes`` evenly spaced values from 0 to 1."""
    return (img * (classes - 1)).round() / (classes - 1)


def displaced_patches(
    img: Float[Tensor, "n 3 h w"], count: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Replace squares of up to 16 px by the picture a quarter to a half of their side away.

    ``count`` is for 512x384 px; it scales with the area.
    """
    height, width = img.shape[-2:]
    side, rows, columns = _squares(height, width, _PATCH, rng)
    chosen = _scaled(count, height, width, _PATCH, side)
    least, most = -(-side // 4), side // 2
    offsets = torch.randint(least, most + 1, (2, len(rows)), generator=rng)
    signs = 2 * torch.randint(2, (2, len(rows)), generator=rng) - 1
    down = _kept_inside(rows, offsets[0] * signs[0], height - side)
    right = _kept_inside(columns, offsets[1] * signs[1], width - side)
    source = torch.arange(height * width)
    target = _pixels(rows[:chosen], columns[:chosen], side, width)
    source[target] = _pixels((rows + down)[:chosen], (columns + right)[:chosen], side, width)
    return img.flatten(2)[..., source.to(img.device)].view_as(img)


def color_blocks(
    img: Float[Tensor, "n 3 h w"], count: float, rng: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Fill squares of up to 32 px with a random colour each; ``count`` is for 512x384 px."""
    height, width = img.shape[-2:]
    side, rows, columns = _squares(height, width, _BLOCK, rng)
    chosen = _scaled(count, height, width, _BLOCK, side)
    colors = _random.uniform((3, len(rows), 1), rng, img)[:, :chosen]
    target = _pixels(rows[:chosen], columns[:chosen], side, width).to(img.device)
    out = img.flatten(2).clone()
    out[..., target] = colors.expand(-1, -1, side * side)
    return out.view_as(img)


def _squares(
    height: int, width: int, nominal: int, rng: torch.Generator
) -> tuple[int, Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Side, top rows and left columns of disjoint squares, one per grid cell, in random order."""
    side = min(nominal, min(height, width) // _SQUARES_PER_SIDE)
    cell = 2 * side  # room for a random position within the cell
    down, across = height // cell, width // cell
    order = torch.randperm(down * across, generator=rng)
    inset = torch.randint(cell - side + 1, (2, len(order)), generator=rng)
    return side, order // across * cell + inset[0], order % across * cell + inset[1]


def _scaled(count: float, height: int, width: int, nominal: int, side: int) -> int:
    """Number of squares that damage the same share of the image as ``count`` of 512x384 px."""
    return max(1, round(count * nominal**2 / _REFERENCE_AREA * height * width / side**2))


def _kept_inside(start: Int[Tensor, " m"], shift: Int[Tensor, " m"], last: int) -> Tensor:
    """Turn the shift round where it would lead out of 0..last."""
    moved = start + shift
    return torch.where((moved < 0) | (moved > last), -shift, shift)


def _pixels(
    rows: Int[Tensor, " m"], columns: Int[Tensor, " m"], side: int, width: int
) -> Int[Tensor, "m p"]:
    """Flat indices of the pixels of each square."""
    steps = torch.arange(side)
    inside = (steps[:, None] * width + steps).flatten()
    return (rows * width + columns)[:, None] + inside
