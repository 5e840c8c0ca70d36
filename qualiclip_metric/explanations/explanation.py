"""One image explained: score, profile and maps, reduced to the size of a picture on a page.

Everything is computed at the image's full size; only what is shown is reduced.
"""

from collections.abc import Mapping
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
from qualiclip_metric.prompts import fault_in_words, fault_name


class Panel(NamedTuple):
    """How a map is shown: what it is called, its colours, and what its two ends mean."""

    method: str
    title: str
    colours: str
    low: str
    high: str


MAPS: dict[str, tuple[Panel, ...]] = {
    "grad": (
        Panel("negative", "what says bad", "inferno", "least here", "most"),
        Panel("positive", "what says good", "viridis", "least here", "most"),
    ),
    "occlusion": (Panel("occlusion", "score rises when covered", "inferno", "least here", "most"),),
    "local": (Panel("local", "1 − score, window by window", "inferno", "0 good", "1 bad"),),
    "positions": (
        Panel("positions", "1 − score, position by position", "inferno", "0 good", "1 bad"),
        Panel("shares", "what takes the score down", "inferno", "nothing", "most"),
    ),
}
"""What can be drawn -> its panels. The colour maps are perceptually uniform."""


def usual_map(metric: QualiCLIP) -> str:
    """The key of `MAPS` for who asks for none: `positions` where the encoder has it, else `grad`.

    Both cost about one score; `positions` finds faults that `grad` does not
    (docs/lab/explanations.md).
    """
    return "positions" if has_positions(metric) else "grad"


@dataclass(frozen=True)
class Explanation:
    """An explained image.

    Args:
        name: What it is called on the page.
        score: In [0, 1], higher is better.
        pairs: Names of the antonym pairs.
        probabilities: Of each pair's positive prompt, in [0, 1]; their mean is the score.
        asked: Indices of the pairs that the maps ask.
        photo: (h, w, 3) RGB, uint8, reduced.
        panels: How each map is shown.
        maps: (h, w) float32 in [0, 1], one per panel, as large as the photo.
        faults: Fault -> probability against pristine crops, `none` first, as `QualiCLIP.diagnose`
            gives them; empty for a model without a diagnosis.
    """

    name: str
    score: float
    pairs: tuple[str, ...]
    probabilities: tuple[float, ...]
    asked: tuple[int, ...]
    photo: NDArray[Any]
    panels: tuple[Panel, ...]
    maps: tuple[NDArray[Any], ...]
    faults: Mapping[str, float] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """The likeliest of `faults`."""
        return max(self.faults, key=self.faults.__getitem__) if self.faults else None

    @property
    def verdict(self) -> str:
        """The likeliest fault in words, `blur 87%`; empty for a model without a diagnosis."""
        return fault_in_words(self.fault, self.faults[self.fault]) if self.fault else ""

    @property
    def diagnosis(self) -> list[tuple[str, float, bool]]:
        """Every fault as a person reads it, its probability, and whether to mark it: if likeliest.

        Pristine, `no fault`, is nothing to mark.
        """
        return [
            (fault_name(name), share, name == self.fault and name != "none")
            for name, share in self.faults.items()
        ]


def explain_image(
    metric: QualiCLIP,
    img: Float[Tensor, "3 h w"],
    name: str,
    *,
    kind: str | None = None,
    pair: int | str | None = None,
    side: int = 640,
) -> Explanation:
    """Explain an image.

    Args:
        metric: The metric.
        img: RGB in [0, 1], at least 32 pixels on each side.
        name: What it is called on the page.
        kind: Key of `MAPS`; None for `usual_map`.
        pair: Antonym pair that the maps ask, as for `explain`; None for all.
        side: Most pixels on the longer side of what is shown.

    Returns:
        Score, profile, diagnosis and maps; photo and maps reduced to `side`.

    Raises:
        ValueError: As `explain`.
        ImportError: As `explain`.
    """
    panels = MAPS[kind or usual_map(metric)]
    with torch.inference_mode():
        pixels = img[None].to(metric.device)
        probabilities = metric.probabilities(pixels)[0].double().tolist()
        likely = metric.diagnose(pixels)[0].double().tolist() if metric.faults else []
    maps = [explain(metric, img[None], pair=pair, method=panel.method) for panel in panels]
    photo = _reduced(img[None], side)[0].clamp(0, 1)
    return Explanation(
        name=name,
        score=sum(probabilities) / len(probabilities),
        pairs=names(metric),
        probabilities=tuple(probabilities),
        asked=chosen(metric, pair),
        photo=to_uint8(photo).permute(1, 2, 0).numpy(),
        panels=panels,
        maps=tuple(_reduced(one, side)[0, 0].clamp(0, 1).cpu().numpy() for one in maps),
        faults=dict(zip(("none", *metric.faults), likely, strict=False)),
    )


def _reduced(img: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c h2 w2"]:
    height, width = img.shape[2:]
    scale = side / max(height, width)
    if scale >= 1:
        return img
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return interpolate(img.float(), size=size, mode="bilinear", antialias=True)
