"""int8 in OpenVINO, an experiment: a layer graph quantised after training by NNCF.

The package has no such engine; docs/lab/performance.md, "int8", has the figures.

Reference: NNCF, post-training quantisation (github.com/openvinotoolkit/nncf, docs/usage).
"""

import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, LEVELS, versions
from qualiclip_metric.engines import DTYPES, without_telemetry
from qualiclip_metric.engines.layers import LayerGraph

__all__ = [
    "VARIANTS",
    "QuantisedEngine",
    "Variant",
    "calibration_images",
    "check_installed",
    "megabytes",
]

MISSING = "int8 needs NNCF and OpenVINO: pip install nncf 'qualiclip-metric[openvino]'"
CONVOLUTIONS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True)
class Variant:
    """How a layer graph is quantised.

    Attributes:
        first: Number of leading convolutions that are not quantised.
        depthwise: Whether grouped convolutions are.
        sums: Whether the sums of branch and shortcut are.
        mixed: Asymmetric ranges for signed activations (preset MIXED); symmetric ones otherwise.
        fast_bias: NNCF's fast bias correction; the slow one, layer by layer, otherwise.
        per_channel: A weight scale per output channel; one per convolution otherwise.
        ranges: Of the activations: a name of NNCF's `RangeEstimatorParametersSet`.
        rest: Precision of what is not quantised, a key of `DTYPES`.
    """

    first: int = 0
    depthwise: bool = True
    sums: bool = True
    mixed: bool = True
    fast_bias: bool = True
    per_channel: bool = True
    ranges: str = "MEAN_MINMAX"
    rest: str = "fp32"


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "all": Variant(),
        "all, rest in bf16": Variant(rest="bf16"),
        "all, symmetric ranges": Variant(mixed=False),
        "all, one scale per convolution": Variant(per_channel=False),
        "all, slow bias correction": Variant(fast_bias=False),
        "all, ranges from extremes": Variant(ranges="MINMAX"),
        "all, ranges from histograms": Variant(ranges="HISTOGRAM"),
        "not the sums": Variant(sums=False, rest="bf16"),
        "not depthwise": Variant(depthwise=False, rest="bf16"),
        "not the first 6": Variant(first=6, rest="bf16"),
        "not the first 6, rest in fp32": Variant(first=6),
        "not the first 6, depthwise": Variant(first=6, depthwise=False, rest="bf16"),
        "not the first 18, depthwise, sums": Variant(18, depthwise=False, sums=False, rest="bf16"),
        "not the first 33": Variant(first=33, rest="bf16"),
    }
)
"""Name -> variant. SmoothQuant is in none: NNCF has it for transformers alone."""


def check_installed() -> None:
    """Refuse where a package is missing.

    Raises:
        ImportError: With the cure.
    """
    if find_spec("nncf") is None or find_spec("openvino") is None:
        raise ImportError(MISSING)


def calibration_images(photos: Sequence[Tensor], seed: int) -> Iterator[Tensor]:
    """Photos, each followed by all distortion types of it at one level each.

    Args:
        photos: (3, H, W) RGB in [0, 1], undistorted.
        seed: Photo ``i`` is distorted from the seed ``seed + i``.

    Yields:
        (1, 3, H, W); the levels go round, so that five photos have all of them of every type.
    """
    for i, photo in enumerate(photos):
        yield photo[None]
        for t, name in enumerate(DISTORTIONS):
            level = 1 + (i + t) % LEVELS
            yield from (img for *_, img in versions(photo[None], seed + i, [name], [level]))


class QuantisedEngine:
    """A layer graph whose convolutions multiply in int8, compiled for the CPU.

    Args:
        graph: What to compute.
        images: Calibrate the ranges of the activations, (1, 3, H, W) RGB in [0, 1].
        variant: How it is quantised.
    """

    def __init__(self, graph: LayerGraph, images: Sequence[Tensor], variant: Variant) -> None:
        from qualiclip_metric.engines.openvino import compiled, trunk_model

        model = trunk_model(graph, torch.float32)
        self.model = _quantised(model, images, variant)
        self._request = compiled(self.model, DTYPES[variant.rest])

    def __call__(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) RGB in [0, 1] -> the feature map of each part, fp32."""
        from qualiclip_metric.engines.openvino import feature_maps

        return feature_maps(self._request, img.float().contiguous().numpy())


def _quantised(model: Any, images: Sequence[Tensor], variant: Variant) -> Any:
    with without_telemetry():
        import nncf
        from nncf.quantization.advanced_parameters import QuantizationParameters
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    nncf.set_log_level(logging.ERROR)
    presets = nncf.QuantizationPreset
    weights = None if variant.per_channel else QuantizationParameters(per_channel=False)
    settings = nncf.AdvancedQuantizationParameters(
        weights_quantization_params=weights,
        activations_range_estimator_params=getattr(RangeEstimatorParametersSet, variant.ranges),
    )
    with redirect_stdout(sys.stderr):  # NNCF's progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(images, lambda img: img.numpy()),
            preset=presets.MIXED if variant.mixed else presets.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(images),
            fast_bias_correction=variant.fast_bias,
            ignored_scope=nncf.IgnoredScope(names=_left_out(model, variant)),
            advanced_parameters=settings,
        )


def _left_out(model: Any, variant: Variant) -> list[str]:
    """Names of the operations that a variant does not quantise."""
    operations = model.get_ordered_ops()
    convolutions = [op for op in operations if op.get_type_name() in CONVOLUTIONS]
    chosen = convolutions[: variant.first]
    if not variant.depthwise:
        chosen += [op for op in convolutions if op.get_type_name() == "GroupConvolution"]
    if not variant.sums:
        chosen += [op for op in operations if op.get_type_name() == "Add" and not _has_constant(op)]
    return [op.get_friendly_name() for op in dict.fromkeys(chosen)]


def _has_constant(operation: Any) -> bool:
    sources = (value.get_source_output().get_node() for value in operation.inputs())
    return any(source.get_type_name() == "Constant" for source in sources)


def megabytes(model: Any) -> float:
    """Size of OpenVINO's files of a model, without compression, in 10^6 bytes."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, Path(folder) / "model.xml", compress_to_fp16=False)
        return sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
