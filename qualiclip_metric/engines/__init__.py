"""Engines: compute a trunk's feature maps where no gradient is needed.

An engine is made from a layer graph, a precision and a device, and maps RGB in [0, 1],
(N, 3, H, W), to one feature map per part of the graph, (N, C, h, w).
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from qualiclip_metric.engines.layers import LayerGraph
from qualiclip_metric.engines.processor import has_bf16_instructions

BuiltEngine = Callable[[Tensor], tuple[Tensor, ...]]


def _strips(graph: LayerGraph, dtype: torch.dtype, device: torch.device) -> BuiltEngine:
    from qualiclip_metric.engines.strips import StripEngine

    return StripEngine(graph, dtype, device)


def _openvino(graph: LayerGraph, dtype: torch.dtype, device: torch.device) -> BuiltEngine:
    with without_telemetry():
        from qualiclip_metric.engines.openvino import OpenVINOEngine
    return OpenVINOEngine(graph, dtype, device)


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Keep OpenVINO from reporting its import to a web service.

    It reports where it can import its package `openvino_telemetry`; None in `sys.modules` makes
    that import fail. A module that was imported earlier is put back.
    """
    name = "openvino_telemetry"
    held = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if held is not None:
            sys.modules[name] = held


ENGINES: dict[str, Callable[[LayerGraph, torch.dtype, torch.device], BuiltEngine]] = {
    "torch": _strips,
    "openvino": _openvino,
}
"""Name -> constructor."""

MISSING = "engine openvino needs its package: pip install 'qualiclip-metric[openvino]'"

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Precisions by the name that users give."""


_WITHOUT_BF16 = (
    "precision bf16: this processor has no instructions for it, so it is no faster than fp32; "
    "precision auto takes fp32 here"
)


def device_of(name: str | torch.device) -> torch.device:
    """Return the device of a name such as `cuda:1`; ValueError if no device has it."""
    try:
        return torch.device(name)
    except RuntimeError as err:
        raise ValueError(f"device: expected cpu, cuda, cuda:1 or mps, got {name!r}") from err


def choose_precision(precision: str, device: torch.device) -> str:
    """Return a key of `DTYPES`; for `auto`, bf16 where it is faster, otherwise fp32.

    It is faster on a GPU that has it, and on a CPU with AVX-512 BF16 or AMX. If bf16 is named and
    is not faster, a warning says so once.
    """
    if precision not in (*DTYPES, "auto"):
        raise ValueError(f"precision: expected one of {', '.join(DTYPES)}, auto, got {precision!r}")
    if precision == "auto":
        return "bf16" if _bf16_is_faster(device) else "fp32"
    if precision == "bf16" and device.type == "cpu" and not has_bf16_instructions():
        _warn_once(_WITHOUT_BF16)
    return precision


def _bf16_is_faster(device: torch.device) -> bool:
    if device.type == "cuda":
        # From compute capability 8.0 on, tensor cores multiply bf16.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and has_bf16_instructions()


@cache
def _warn_once(message: str) -> None:
    # 5: the caller of `create`, past choose_precision, create and create's decorator
    warnings.warn(message, RuntimeWarning, stacklevel=5)


def choose_engine(engine: str, device: torch.device) -> str:
    """Return a key of `ENGINES`; for `auto`, openvino on the CPU where it is installed.

    Raises ValueError if the name is unknown, or the engine does not run on the device.
    """
    installed = find_spec("openvino") is not None
    if engine == "auto":
        return "openvino" if installed and device.type == "cpu" else "torch"
    if engine not in ENGINES:
        raise ValueError(f"engine: expected {', '.join(ENGINES)} or auto, got {engine!r}")
    if engine == "openvino" and device.type != "cpu":
        raise ValueError(f"engine openvino computes on the CPU, not on {device}; use torch")
    if engine == "openvino" and not installed:
        raise ImportError(MISSING)
    return engine
