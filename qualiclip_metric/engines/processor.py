"""Instructions of the processor for bf16."""

import os

import torch

_LIMITS_WITHOUT_BF16 = {
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
}  # fmt: skip
"""Values of `ONEDNN_MAX_CPU_ISA` with which oneDNN does not use instructions for bf16. Reference:
oneDNN's developer guide, "CPU dispatcher control"."""


def has_bf16_instructions() -> bool:
    """Whether oneDNN multiplies bf16 by instructions for it: AVX-512 BF16 or AMX.

    Without them it converts to fp32 and back, and is several times slower than in fp32. A
    processor that torch does not know counts as one without.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return limit not in _LIMITS_WITHOUT_BF16 and probe is not None and bool(probe())
