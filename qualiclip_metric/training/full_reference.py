"""Full-reference quality of degraded crops by piq; higher is better. No human score is involved."""

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.extras import require


def mdsi(img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Mean deviation similarity index, negated; 0 for equal images; RGB in [0, 1].

    Ziaei Nafchi et al., "Mean deviation similarity index", IEEE Access 4, 2016, section III.
    """
    return -_values("mdsi", img, reference)


def four_metrics(
    img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 4"]:
    """MDSI, HaarPSI, VIF and MS-GMSD of RGB in [0, 1]; negated where lower is better.

    MS-GMSD needs at least 161x161 pixels.
    """
    signs = {"mdsi": -1, "haarpsi": 1, "vif_p": 1, "multi_scale_gmsd": -1}
    found = [sign * _values(name, img, reference) for name, sign in signs.items()]
    return torch.stack([value.flatten().float() for value in found], dim=1)


@torch.no_grad()
def _values(name: str, img: Tensor, reference: Tensor) -> Tensor:
    metric = getattr(require("piq", "train", "full-reference metrics"), name)
    values: Tensor = metric(img, reference, data_range=1.0, reduction="none")
    return values
