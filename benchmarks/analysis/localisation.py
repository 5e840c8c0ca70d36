"""Whether a map finds a known region: pointing, ROC area, energy; and model-free baselines."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from kornia.filters import gaussian_blur2d, laplacian
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

__all__ = ["BASELINES", "FIGURES", "auc", "energy", "pointing", "random_region"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

AREA = (0.10, 0.25)
"""Least and greatest share of the image that a region takes."""
ASPECT = 2.0
"""Most that a region's width is of its height, relative to the image, or the other way about."""
FEATHER = 2.0
"""Standard deviation, px, of the blur of the edge between the faulty and the untouched part."""


def random_region(height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw a random rectangle or ellipse anywhere in the image, its borders included.

    Its middle is uniform in the image, and what the borders cut off is gone; drawn again until what
    is left is within `AREA`. A region wholly inside the image would cover the centre too often.
    """
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(width)[None] + 0.5) / width
    while True:
        elliptic = bool(rng.integers(2))
        area = rng.uniform(*AREA) * (4 / np.pi if elliptic else 1.0)
        aspect = ASPECT ** rng.uniform(-1, 1)
        half = 0.5 * np.sqrt(area * np.array([aspect, 1 / aspect]))
        middle = rng.uniform(size=2)
        far = abs(y - middle[0]) / half[0], abs(x - middle[1]) / half[1]
        inside: Mask = np.hypot(*far) <= 1 if elliptic else np.maximum(*far) <= 1
        if AREA[0] <= inside.mean() <= AREA[1]:
            return inside


def composite(image: Tensor, faulty: Tensor, inside: Mask) -> Tensor:
    """Show the distorted image inside the region, the original outside, with a soft edge.

    Images are (1, 3, H, W), the region (H, W).
    """
    mask = torch.from_numpy(inside).to(image)[None, None]
    side = 2 * int(3 * FEATHER) + 1
    soft = gaussian_blur2d(mask, (side, side), (FEATHER, FEATHER), border_type="replicate")
    return torch.lerp(image, faulty, soft)


def pointing(values: Array, inside: Mask) -> float:
    """Tell whether the map's maximum lies inside: 1 or 0; of tied maxima, the share inside.

    The pointing game of Zhang et al., Top-down neural attention by excitation backprop, IJCV 2018.
    """
    return float(inside[values == values.max()].mean())


def auc(values: Array, inside: Mask) -> float:
    """Area under the ROC curve of "inside" by the map's value, over pixels; 0.5 is chance."""
    ranks = rankdata(values)  # Mann-Whitney: (rank sum inside - n1 (n1 + 1) / 2) / (n1 n0)
    hits, rest = int(inside.sum()), int((~inside).sum())
    return float((ranks[inside.ravel()].sum() - hits * (hits + 1) / 2) / (hits * rest))


def energy(values: Array, inside: Mask) -> float:
    """Share of the map's sum that lies inside, over the share of the area; 1 is chance."""
    total = values.sum()
    return float(values[inside].sum() / total / inside.mean()) if total > 0 else 1.0


FIGURES: Mapping[str, Callable[[Array, Mask], float]] = {
    "pointing": pointing,
    "AUC": auc,
    "energy": energy,
}


def _centre(image: Tensor, rng: torch.Generator) -> Tensor:
    """A Gaussian in the middle, a quarter of each side wide, whatever the image shows."""
    height, width = image.shape[-2:]
    y, x = (((torch.arange(n) + 0.5) / n - 0.5) / 0.25 for n in (height, width))
    return torch.exp(-0.5 * (y[:, None] ** 2 + x[None] ** 2))[None, None]


def _sharpness(image: Tensor, rng: torch.Generator) -> Tensor:
    """How unlike the median of the image the local sharpness is.

    Logarithm of the squared Laplacian of the luma, averaged by a Gaussian of a 32nd of the shorter
    side; absolute difference to its median, over its largest.
    """
    luma = torch.einsum("nchw,c->nhw", image, torch.tensor([0.299, 0.587, 0.114]))[:, None]
    squares = laplacian(luma, kernel_size=3, normalized=False).square()
    sigma = min(image.shape[-2:]) / 32
    side = 2 * int(3 * sigma) + 1
    local = gaussian_blur2d(squares, (side, side), (sigma, sigma))
    level = (local + 1 / 255**2).log()
    unlike = (level - level.median()).abs()
    return unlike / unlike.max().clamp(min=1e-12)


def _random(image: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(1, 1, *image.shape[-2:], generator=rng)


BASELINES: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "sharpness difference": _sharpness,
    "centre": _centre,
    "random": _random,
}
"""Model-free baselines: (1, 3, H, W), generator -> (1, 1, H, W) in [0, 1]."""
