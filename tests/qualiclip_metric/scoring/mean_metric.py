"""A metric that is the mean of all values, and the sizes of the photos it is tried on."""

from torch import Tensor

SIZES = [(40, 48), (64, 40), (40, 48), (33, 50), (40, 48), (64, 40)]


def mean_metric(img: Tensor) -> Tensor:
    return img.mean(dim=(1, 2, 3))
