"""The machine that figures are measured on."""

import os
import platform
from typing import Any

import torch

from qualiclip_metric.engines.processor import has_bf16_instructions

__all__ = ["bf16_instructions", "machine_text"]


def machine_text() -> str:
    """Name the processor, its cores and the present load."""
    cpu = _capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return (
        f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}"
    )


def bf16_instructions() -> str:
    """Name the instructions with which oneDNN multiplies bf16 in this process, or "none"."""
    if not has_bf16_instructions():
        return "none"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    amx = _capabilities().get("amx_bf16") and limit != "AVX512_CORE_BF16"
    return "AMX" if amx else "AVX-512 BF16"


def _capabilities() -> dict[str, Any]:
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # from torch 2.6 on
    return found
