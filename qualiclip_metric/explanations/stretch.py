"""Maps into [0, 1] by each image's own extremes."""

from jaxtyping import Float
from torch import Tensor


def stretch(maps: Float[Tensor, "n 1 h w"], least: float = 1e-12) -> Float[Tensor, "n 1 h w"]:
    """Let each map's minimum be 0 and its maximum 1.

    Args:
        maps: Maps in any unit.
        least: A map whose values differ by no more than this is the same everywhere: rounding
            errors are not to be blown up.

    Returns:
        Maps in [0, 1]; 0 everywhere for one that is the same everywhere.
    """
    low = maps.amin(dim=(1, 2, 3), keepdim=True)
    span = maps.amax(dim=(1, 2, 3), keepdim=True) - low
    flat = span <= least
    return ((maps - low) / span.masked_fill(flat, 1)).masked_fill(flat, 0)
