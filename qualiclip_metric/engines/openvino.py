"""Engine `openvino`: runs a layer graph in OpenVINO, on CPUs.

The model is built from the layer graph, without a trace or a file in between: converting a module
takes seconds. It takes any batch and size. For bf16 the weights are rounded here (`rounding`),
because OpenVINO would round each to the nearest.

Reference: OpenVINO's operation set 13 and the properties of its CPU plugin.
"""

import os
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import Tensor

from qualiclip_metric.engines.layers import Conv, LayerGraph, Pool, Residual, Stage
from qualiclip_metric.engines.processor import has_bf16_instructions

CALL_PIXELS = 2**21
"""Pixels per call, about 480 MB: OpenVINO holds whole feature maps, about 230 bytes per pixel.
Larger batches are split; a larger image is a call of its own."""
TILED_PIXELS = 2**22
"""In larger images the largest feature maps are computed on row tiles, one after the other, by a
model for that size alone: one for all sizes would keep the memory of every tile."""
TILES = 4
"""Tiles per image: the tiled maps take about a quarter of their memory."""

MAX_PIXELS = 2**24
"""Larger images are left to `StripEngine`: whole feature maps take 3.4 GB at this size."""

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}

Size = tuple[int, int]


class OpenVINOEngine:
    """A layer graph in fp32 or bf16, compiled for the CPU at its first call; ignores `device`."""

    def __init__(
        self, graph: LayerGraph, dtype: torch.dtype, device: torch.device | None = None
    ) -> None:
        if dtype not in PRECISIONS:
            raise ValueError(f"engine openvino: expected fp32 or bf16, got {dtype}")
        self.graph, self.dtype = graph, dtype
        self._requests: dict[Size | None, Any] = {}
        """Size of the image -> request; None for all sizes that are not tiled."""
        self._lock = Lock()

    def __call__(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) RGB in [0, 1] -> the feature map of each part, fp32."""
        if img.shape[2] * img.shape[3] > MAX_PIXELS:
            maps: tuple[Tensor, ...] = self._strips(img)
            return maps
        count = max(1, CALL_PIXELS // (img.shape[2] * img.shape[3]))
        calls = [self._feature_maps(img[i : i + count]) for i in range(0, len(img), count)]
        return calls[0] if len(calls) == 1 else tuple(map(torch.cat, zip(*calls, strict=True)))

    @cached_property
    def _strips(self) -> Any:
        from qualiclip_metric.engines.strips import StripEngine

        return StripEngine(self.graph, self.dtype)

    def _feature_maps(self, img: Tensor) -> tuple[Tensor, ...]:
        pixels = img.detach().float().contiguous().numpy()
        with self._lock:  # a request computes one batch at a time
            return feature_maps(self._ready(img.shape[2], img.shape[3]), pixels)

    def _ready(self, height: int, width: int) -> Any:
        """The inference request for images of a size."""
        size = (height, width) if height * width > TILED_PIXELS else None
        if size not in self._requests:
            if size:  # of the models for one size, only the last is kept
                self._requests = {key: kept for key, kept in self._requests.items() if not key}
            self._requests[size] = compiled(trunk_model(self.graph, self.dtype, size), self.dtype)
        if size and None in self._requests:
            # two models are there now; the untiled one gives its buffers back
            self._requests[None].get_compiled_model().release_memory()
        return self._requests[size]


def trunk_model(graph: LayerGraph, dtype: torch.dtype, size: Size | None = None) -> ov.Model:
    """Build OpenVINO's model of a layer graph, with one result for each part.

    For bf16 all weights are rounded but those of the graph's fp32 stages, which stay fp32 where the
    model is compiled for bf16. With a size, large maps of images of that size are tiled; without
    one the model takes all sizes, untiled.
    """
    bf16 = dtype == torch.bfloat16
    image = ops.parameter([1, 3, *size] if size else [-1, 3, -1, -1], np.float32, name="image")
    first, *others = graph.parts
    fp32 = count = graph.fp32_stages if bf16 else 0
    cuts = []
    if size:
        from qualiclip_metric.engines.tiles import count_tiled, tiles

        count = max(fp32, count_tiled(first))
        # Each cut goes through the fp32 stages and the tiled ones; then the tiles are joined.
        cuts = list(tiles(first[:count], size[0], TILES))
    pieces = [_rows(image, cut.top, cut.bottom) for cut in cuts] or [image]
    nodes = [_sequence(first[:fp32], _normalised(graph, piece), False) for piece in pieces]
    if fp32:
        image, nodes = _kept_fp32(image, nodes)
    if cuts:
        ends = [_sequence(first[fp32:count], node, bf16) for node in nodes]
        rows = [_rows(end, cut.first, cut.last) for end, cut in zip(ends, cuts, strict=True)]
        nodes = [ops.concat(rows, axis=2)]
    (node,), results = nodes, []
    for stages in (first[count:], *others):
        node = _sequence(stages, node, bf16)
        results.append(ops.result(node))
    return ov.Model(results, [image], "trunk")


def _kept_fp32(image: Any, nodes: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Mark all operations behind an image, so that they stay fp32 in a model of bf16.

    OpenVINO takes the mark "precise" from its files alone, so the graph so far is written and read.
    """
    started = ov.Model([ops.result(node) for node in nodes], [image], "start")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "start.xml"
        ov.serialize(started, file)
        xml, weights = ElementTree.fromstring(file.read_text()), file.with_suffix(".bin")
        for layer in xml.iter("layer"):
            if layer.get("type") not in ("Parameter", "Const", "Result"):
                marks = layer.find("rt_info")
                marks = ElementTree.SubElement(layer, "rt_info") if marks is None else marks
                ElementTree.SubElement(marks, "attribute", name="precise", version="0")
        read = _core().read_model(ElementTree.tostring(xml), weights.read_bytes())
    return read.get_parameters()[0], [one.input_value(0) for one in read.get_results()]


def compiled(model: ov.Model, dtype: torch.dtype) -> Any:
    """Make an inference request for a model, with as many threads as torch has."""
    threads = torch.get_num_threads()
    options = {
        # Without instructions for bf16, OpenVINO would simulate them.
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype] if has_bf16_instructions() else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Processes of few threads would all be pinned to the same cores.
        "ENABLE_CPU_PINNING": threads >= (os.cpu_count() or 1),
    }
    return _core().compile_model(model, "CPU", options).create_infer_request()


def feature_maps(request: Any, pixels: NDArray[np.float32]) -> tuple[Tensor, ...]:
    """Compute all results of a model, copied; the pixels (N, C, H, W) are read in place."""
    maps = request.infer([pixels], share_inputs=True)
    return tuple(torch.from_numpy(maps[index]) for index in range(len(maps)))


def _rows(node: Any, first: int, last: int) -> Any:
    # start, stop, step, axis (rows of N, C, H, W)
    return ops.slice(node, *(np.array([one]) for one in (first, last, 1, 2)))


@cache
def _core() -> ov.Core:
    """Return OpenVINO's core, which is kept until the process ends.

    Its CPU plugin gives the thread that loads it another stack for signal handlers, and frees that
    stack with the last reference, on any thread. Without a reference kept here, the
    next signal with a handler (SIGCHLD of a finished worker, Ctrl-C) would end the process.
    """
    return ov.Core()


def _normalised(graph: LayerGraph, image: Any) -> Any:
    # (image - mean) / std as one product and one difference
    scale, shift = 1 / graph.std, graph.mean / graph.std
    return ops.subtract(ops.multiply(image, _per_channel(scale)), _per_channel(shift))


def _sequence(stages: Sequence[Stage], node: Any, bf16: bool) -> Any:
    for stage in stages:
        if isinstance(stage, Conv):
            node = _activated(_convolved(stage, node, bf16), stage)
        elif isinstance(stage, Pool):
            size = [stage.kernel] * 2
            node = ops.avg_pool(node, size, [0, 0], [0, 0], size, exclude_pad=True)
        else:
            node = _residual(stage, node, bf16)
    return node


def _residual(stage: Residual, node: Any, bf16: bool) -> Any:
    branch = _convolved(stage.last, _sequence(stage.branch, node, bf16), bf16)
    return _activated(ops.add(branch, _sequence(stage.shortcut, node, bf16)), stage.last)


def _convolved(conv: Conv, node: Any, bf16: bool) -> Any:
    weight = conv.weight
    if bf16:  # the bias stays as it is: OpenVINO adds it in fp32
        from qualiclip_metric.engines.rounding import to_bf16

        weight = to_bf16(conv).weight
    weights = weight.cpu().numpy()
    pads = [conv.kernel // 2] * 2
    options = {
        "strides": [conv.stride] * 2,
        "pads_begin": pads,
        "pads_end": pads,
        "dilations": [1, 1],
        "auto_pad": "same_upper" if conv.same else "explicit",
    }
    if conv.groups > 1:
        # (out, in / groups, k, k) -> (groups, out / groups, in / groups, k, k)
        grouped = weights.reshape(conv.groups, -1, *weights.shape[1:])
        out = ops.group_convolution(node, _shared(grouped), **options)
    else:
        out = ops.convolution(node, _shared(weights), **options)
    return ops.add(out, _per_channel(conv.bias))


def _shared(weight: NDArray[np.float32]) -> Any:
    """A constant in the memory of the array, without a copy."""
    return ops.constant(np.ascontiguousarray(weight), shared_memory=True)


def _activated(node: Any, conv: Conv) -> Any:
    if conv.activation == "none":
        return node
    return ops.relu(node) if conv.activation == "relu" else ops.clamp(node, 0.0, 6.0)


def _per_channel(values: Tensor) -> Any:
    return values.cpu().numpy().reshape(1, -1, 1, 1)  # (1, C, 1, 1)
