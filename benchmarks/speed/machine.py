"""The machine that figures are measured on, and the instruction sets that it can be held to."""

import os
import platform
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import torch

from qualiclip_metric.engines.processor import has_bf16_instructions

__all__ = ["ISAS", "bf16_instructions", "instructions", "isa_environment", "machine"]

PACKAGES = ("torch", "openvino", "onnxruntime", "pyiqa")

ISAS: dict[str, str | None] = {
    "avx2": "AVX2",
    "avx512": "AVX512_CORE",
    "avx512_bf16": "AVX512_CORE_BF16",
    "native": None,
}
"""Instruction set -> value of ``ONEDNN_MAX_CPU_ISA``; None leaves the machine's own."""

_FLAGS = {"avx2": "avx2", "avx512": "avx512_f", "avx512_bf16": "avx512_bf16"}
"""Instruction set -> its name among torch's capabilities of the processor."""

_MULTIPLY = ("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code: processor, cores, threads, versions."""
    abilities = _abilities()
    return {
        "cpu": abilities.get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "amx": bool(abilities.get("amx_bf16")),
        **{name: metadata.version(name) for name in PACKAGES if find_spec(name)},
    }


def isa_environment(isa: str) -> dict[str, str]:
    """Environment that holds oneDNN's kernels, and torch's own, to an instruction set.

    Args:
        isa: A key of `ISAS`.

    Returns:
        Variables for a process that is yet to start; none for ``native``.

    Raises:
        ValueError: Unknown instruction set, or one that this processor lacks.
    """
    if isa not in ISAS:
        raise ValueError(f"--isa: expected {', '.join(ISAS)}, got {isa}")
    value = ISAS[isa]
    if value is None:
        return {}
    abilities = _abilities()
    if not abilities.get(_FLAGS[isa], True):
        raise ValueError(f"--isa: {abilities.get('cpu_name') or 'this processor'} has no {isa}")
    return {"ONEDNN_MAX_CPU_ISA": value, "ATEN_CPU_CAPABILITY": isa.partition("_")[0]}


def _abilities() -> dict[str, Any]:
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def bf16_instructions() -> str:
    """What oneDNN multiplies bf16 with in this process: AMX, AVX-512 BF16, or none of its own."""
    if not has_bf16_instructions():
        return "none"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    amx = _abilities().get("amx_bf16") and limit != ISAS["avx512_bf16"]
    return "AMX" if amx else "AVX-512 BF16"


def instructions() -> str:
    """What the processor multiplies with: the names of its vector and matrix instructions."""
    abilities = _abilities()
    return ", ".join(name for name in _MULTIPLY if abilities.get(name)) or "none that torch knows"
