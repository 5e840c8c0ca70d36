"""Is int8 worth having: its scores along the ladders and its CPU time, beside fp32 and bf16."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchmarks.formatting import markdown, number
from benchmarks.speed.quantisation import VARIANTS, QuantisedEngine, Variant, megabytes
from benchmarks.stats.ordering import ordered_pairs
from qualiclip_metric.distortions import DISTORTIONS
from qualiclip_metric.encoders import Encoder
from qualiclip_metric.engines import DTYPES, ENGINES, Engine
from qualiclip_metric.metric import QualiCLIP

__all__ = ["FLOATS", "SPEEDUP", "SRCC", "agreement", "engines", "sizes", "table", "through"]

FLOATS = ("fp32", "bf16")
"""What int8 is compared with, of the same engine; the first is the reference of the scores."""
THROUGHOUT = "bf16 throughout"
"""bf16 from the first convolution on, which the package does not do; here for what of int8's gain
comes from leaving no convolution in fp32."""
SRCC = 0.999
"""Rank correlation with fp32 that int8 must have at least, over photos, types and levels."""
SPEEDUP = 1.5
"""CPU time of the faster of `FLOATS` over that of int8 that it must bring at every size."""


class _Through(nn.Module):
    """An encoder whose feature maps an engine computes."""

    def __init__(self, encoder: Encoder, engine: Engine) -> None:
        super().__init__()
        self.encoder, self.engine = encoder, engine

    def forward(self, img: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, dim)."""
        features: Tensor = self.encoder.features(self.engine(img))
        return features


def through(metric: QualiCLIP, engine: Engine) -> QualiCLIP:
    """The same metric, its feature maps computed by another engine.

    Args:
        metric: Made by `create`.
        engine: Of its encoder's layer graph.

    Returns:
        A metric that shares its weights.
    """
    assert isinstance(metric.encoder, Encoder)
    return QualiCLIP(
        _Through(metric.encoder, engine),
        metric.prompts,
        temperature=metric.temperature,
        logit_scale=float(metric.logit_scale),
        scoring_size=metric.scoring_size,
    ).eval()


def engines(
    encoder: Encoder,
    images: Sequence[Tensor],
    variants: Mapping[str, Variant],
    stages: Sequence[int] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Engine]:
    """OpenVINO's engines of one encoder: `FLOATS`, other ways in bf16, int8's variants.

    `THROUGHOUT` is among them where it differs from bf16.

    Args:
        encoder: Its layer graph is computed.
        images: Calibrate int8, (1, 3, H, W) RGB in [0, 1].
        variants: Name -> variant.
        stages: For each number, bf16 with so many leading convolutions in fp32.
        progress: Receives a line of text before each variant.

    Returns:
        Name -> engine, those of int8 as `QuantisedEngine`.
    """
    graph, device = encoder.layer_graph(), torch.device("cpu")
    made: dict[str, Engine] = {
        name: ENGINES["openvino"](graph, DTYPES[name], device) for name in FLOATS
    }
    if graph.fp32_stages:
        whole = replace(graph, fp32_stages=0)
        made[THROUGHOUT] = ENGINES["openvino"](whole, torch.bfloat16, device)
    for count in stages:
        held = replace(graph, fp32_stages=count)
        made[f"bf16, {count} in fp32"] = ENGINES["openvino"](held, torch.bfloat16, device)
    for name, variant in variants.items():
        progress(f"int8: {name}")
        made[name] = QuantisedEngine(graph, images, variant)
    return made


def sizes(encoder: Encoder, made: Mapping[str, Engine]) -> dict[str, float]:
    """Megabytes of OpenVINO's files.

    Args:
        encoder: Of the engines.
        made: As of `engines`.

    Returns:
        Name -> size; bf16 is left out, for its rounded weights are stored as fp32.
    """
    from qualiclip_metric.engines.openvino import trunk_model

    graph = encoder.layer_graph()
    found = {FLOATS[0]: megabytes(trunk_model(graph, torch.float32))}
    for name, engine in made.items():
        if isinstance(engine, QuantisedEngine):
            found[name] = megabytes(engine.model)
    return found


def agreement(scores: NDArray[np.float64], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How near each way of computing comes to the first one.

    Args:
        scores: (photos, types, LEVELS + 1, ways), as of `ladders.along_ladders`.
        names: Of the ways.

    Returns:
        Per way, over the levels from 1 on: `srcc` with the first way, over all photos and types;
        `least`, the lowest SRCC of a type, and which `type`; `largest` and `median` absolute
        difference; and `ordered`, the share of level pairs in order, level 0 among them.
    """
    reference = scores[:, :, 1:, 0]
    found = {}
    for way, name in enumerate(names):
        own = scores[:, :, 1:, way]
        types = [_srcc(own[:, t], reference[:, t]) for t in range(len(DISTORTIONS))]
        found[name] = {
            "srcc": _srcc(own, reference),
            "least": min(types),
            "type": list(DISTORTIONS)[int(np.argmin(types))],
            "largest": float(np.abs(own - reference).max()),
            "median": float(np.median(np.abs(own - reference))),
            "ordered": float(ordered_pairs(scores[..., way]).mean()),
        }
    return found


def _srcc(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    return float(spearmanr(scores.ravel(), reference.ravel()).statistic)


def table(found: Mapping[str, Any]) -> str:
    """Markdown: a row per way, and whether int8 reaches `SRCC` and `SPEEDUP` there.

    Args:
        found: `model`; `sizes`, (height, width) of each; `agreement`, as of `agreement`;
            `seconds`, way -> CPU seconds per size; `megabytes`, way -> size of the files.
    """
    faster = [min(times) for times in zip(*(found["seconds"][f] for f in FLOATS), strict=True)]
    columns = [found["model"], "SRCC", "least of a type", "largest deviation", "median"]
    times = [f"{height}x{width}, ms of CPU" for height, width in found["sizes"]]
    rows = [_row(found, name, faster) for name in found["agreement"]]
    return markdown([*columns, "pairs in order", *times, "MB", "kept"], rows)


def _row(found: Mapping[str, Any], name: str, faster: Sequence[float]) -> list[str]:
    own, seconds = found["agreement"][name], found["seconds"][name]
    gains = [best / s for best, s in zip(faster, seconds, strict=True)]
    judged = name in VARIANTS
    return [
        f"int8: {name}" if judged else name,
        number(own["srcc"], 5),
        f"{number(own['least'])} {own['type']}",
        number(own["largest"]),
        number(own["median"], 4),
        number(own["ordered"]),
        *(f"{1e3 * s:.1f} ({gain:.2f}x)" for s, gain in zip(seconds, gains, strict=True)),
        number(found["megabytes"].get(name), 1),
        _verdict(own["srcc"], min(gains)) if judged else "",
    ]


def _verdict(srcc: float, gain: float) -> str:
    """Yes, or which of the two conditions is missed."""
    missed = [name for name, low in (("SRCC", srcc < SRCC), ("speed", gain < SPEEDUP)) if low]
    return f"no: {', '.join(missed)}" if missed else "yes"
