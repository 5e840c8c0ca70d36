"""One image explained: score, profile, diagnosis and maps, at the size of a picture on a page.

Everything is computed at full size; only the picture and its maps are reduced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from qualiclip_metric.explanations import explain
from qualiclip_metric.explanations.pairs import chosen, names
from qualiclip_metric.explanations.positions import has_positions
from qualiclip_metric.images import to_uint8
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import fault_name, likeliest_fault
from qualiclip_metric.reference import Reference

Bar = tuple[str, float, bool]
"""Name, value in [0, 1], and whether to mark it."""


class Panel(NamedTuple):
    """Title, colours and legend with which the map of a method is shown."""

    method: str
    title: str
    colours: str  # a matplotlib colour map, perceptually uniform
    low: str  # meaning of 0
    high: str  # meaning of 1


MAPS: dict[str, tuple[Panel, ...]] = {
    "grad": (
        Panel("negative", "what says bad", "inferno", "least here", "most"),
        Panel("positive", "what says good", "viridis", "least here", "most"),
    ),
    "local": (Panel("local", "where it is bad, window by window", "inferno", "0 good", "1 bad"),),
    "positions": (
        Panel("positions", "where it is bad", "inferno", "0 good", "1 bad"),
        Panel("shares", "what takes the score down", "inferno", "nothing", "most"),
    ),
}
"""Value of `qualiclip explain --map` -> its panels."""


def default_map(metric: QualiCLIP) -> str:
    """Choose `positions` where the encoder has it, else `grad`; both cost about one score.

    `positions` finds faults that `grad` does not (docs/lab/explanations.md).
    """
    return "positions" if has_positions(metric) else "grad"


@dataclass(frozen=True)
class Explanation:
    """An explained image: its score, its diagnosis, and one map per panel, as large as the photo.

    The photo is RGB, uint8, reduced; maps are float32 in [0, 1]. `faults` maps a fault to its
    probability against pristine crops, `none` first; it is empty for a model without a diagnosis.
    `place` is the percentile as text, as of `Reference.place`; it is empty without a reference.
    """

    name: str
    score: float
    pairs: tuple[str, ...]
    probabilities: tuple[float, ...]  # of each pair's positive prompt; their mean is the score
    asked: tuple[int, ...]  # indices of the pairs that the maps ask
    photo: NDArray[Any]
    panels: tuple[Panel, ...]
    maps: tuple[NDArray[Any], ...]
    faults: Mapping[str, float] = field(default_factory=dict)
    place: str = ""

    @property
    def verdict(self) -> str:
        """The likeliest fault, `blur 87%`; empty for a model without a diagnosis."""
        return likeliest_fault(self.faults)

    @property
    def profile(self) -> list[Bar]:
        """Probability of each pair's positive prompt."""
        return [(*row, False) for row in zip(self.pairs, self.probabilities, strict=True)]

    @property
    def diagnosis(self) -> list[Bar]:
        """Probability of each fault; the likeliest is marked, unless it is `no fault`."""
        most = max(self.faults.values(), default=0)
        return [
            (fault_name(name), share, share == most and name != "none")
            for name, share in self.faults.items()
        ]

    @property
    def asked_pairs(self) -> list[str]:
        """Names of the pairs that the maps ask; empty where these are all."""
        some = len(self.asked) < len(self.pairs)
        return [self.pairs[index] for index in self.asked] if some else []


def explain_image(
    metric: QualiCLIP,
    img: Float[Tensor, "3 h w"],
    name: str,
    panels: Sequence[Panel],
    *,
    pair: int | str | None = None,
    side: int = 640,
    reference: Reference | None = None,
) -> Explanation:
    """Explain an image of RGB in [0, 1], at least 32 pixels on each side; see `explain`.

    `side` is the longer side of photo and maps in the result, px. The reference, which gives the
    percentile, is of the metric's signature.
    """
    with torch.inference_mode():
        pixels = img[None].to(metric.device)
        of_pairs, of_faults = metric.probabilities_and_diagnosis(pixels)
    probabilities, likely = (one[0].double().tolist() for one in (of_pairs, of_faults))
    maps = [explain(metric, img[None], pair=pair, method=panel.method) for panel in panels]
    photo = _shown(img[None], side)[0]
    score = sum(probabilities) / len(probabilities)
    return Explanation(
        name=name,
        score=score,
        pairs=names(metric),
        probabilities=tuple(probabilities),
        asked=chosen(metric, pair),
        photo=to_uint8(photo).permute(1, 2, 0).numpy(),
        panels=tuple(panels),
        maps=tuple(_shown(values, side)[0, 0].cpu().numpy() for values in maps),
        faults=dict(zip(("none", *metric.faults), likely, strict=True)) if likely else {},
        place=reference.place(score) if reference else "",
    )


def _shown(img: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c h2 w2"]:
    """Reduce to a longer side of `side` px."""
    height, width = img.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return img.clamp(0, 1)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    return interpolate(img.float(), size=size, mode="bilinear", antialias=True).clamp(0, 1)
