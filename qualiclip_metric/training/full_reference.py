"""Full-reference quality of degraded crops by piq; higher is better. No human score is involved."""

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.extras import require


def mdsi(img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Mean deviation similarity index, negated; 0 for equal images; RGB in [0, 1].

    Ziaei Nafchi et al., "Mean deviation similarity index", IEEE Access 4, 2016, section III.
    """
    piq = require("piq", "train", "full-reference metrics")
    with torch.no_grad():
        value: Tensor = piq.mdsi(img, reference, data_range=1.0, reduction="none")
    return -value


def four_metrics(
    img: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n 4"]:
    """MDSI, HaarPSI, VIF and MS-GMSD of RGB in [0, 1]; negated where lower is better.

    MS-GMSD needs at least 161x161 pixels.
    """
    piq = require("piq", "train", "full-reference metrics")
    with torch.no_grad():
        values = (
            -piq.mdsi(img, reference, data_range=1.0, reduction="none"),
            piq.haarpsi(img, reference, data_range=1.0, reduction="none"),
            piq.vif_p(img, reference, data_range=1.0, reduction="none"),
            -piq.multi_scale_gmsd(img, reference, data_range=1.0, reduction="none"),
        )
    return torch.stack([value.flatten().float() for value in values], dim=1)
