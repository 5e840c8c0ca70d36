"""Full-reference scores that can order crops across types and contents, without a human score."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Anchor = Callable[[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]], Float[Tensor, " n"]]


def mdsi(img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Mean deviation similarity index, negated so that higher is better; 0 for equal images.

    Ziaei Nafchi et al., "Mean deviation similarity index", IEEE Access 4, 2016, section III, as
    implemented by piq.

    Args:
        img: Degraded images, RGB in [0, 1].
        reference: Their pristine originals.

    Returns:
        One value per image.

    Raises:
        ImportError: When piq is missing, with the cure.
    """
    try:
        import piq
    except ImportError as err:
        raise ImportError(
            "anchor = 'mdsi' needs piq: pip install 'qualiclip-metric[train]'"
        ) from err
    with torch.no_grad():
        value: Tensor = piq.mdsi(img.float(), reference.float(), data_range=1.0, reduction="none")
    return -value


ANCHORS: dict[str, Anchor] = {"mdsi": mdsi}
