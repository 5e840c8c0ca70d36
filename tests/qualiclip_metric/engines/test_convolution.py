"""The fused convolution: the operations it takes, and the weights that it lays out once."""

import os
import subprocess
import sys

import pytest
import torch

from qualiclip_metric.engines import convolution
from qualiclip_metric.engines.convolution import PreparedConv, has_fused_operations
from qualiclip_metric.engines.layers import Conv
from qualiclip_metric.engines.processor import has_bf16_instructions

CPU = torch.device("cpu")
INSTRUCTION_SETS = ["AVX2", "AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT"]

REORDERS = """
import sys, torch
from qualiclip_metric.encoders import ENCODERS
from qualiclip_metric.engines.strips import StripEngine
torch.set_num_threads(1)
images = [torch.rand(1, 3, 128, 96), torch.rand(2, 3, 97, 64)]
for name in ENCODERS:
    graph = ENCODERS[name]().requires_grad_(False).layer_graph()
    for dtype in (torch.float32, torch.bfloat16):
        engine = StripEngine(graph, dtype, "cpu", 96 * 32)
        for img in images:
            engine(img)
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            for img in images:
                engine(img)
"""


def skip_without(instruction_set: str) -> None:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("this torch has no oneDNN")
    capability = torch.backends.cpu.get_cpu_capability()
    if instruction_set.startswith("AVX512") and "AVX512" not in capability:
        pytest.skip(f"the processor has {capability}")
    if instruction_set == "AVX2" and "AVX512" not in capability:
        pytest.skip(f"the processor has {capability}: no more than it, or less")
    if instruction_set == "AVX512_CORE_BF16" and not has_bf16_instructions():
        pytest.skip("the processor has no instructions for bf16")


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_no_call_reorders_weights(instruction_set: str) -> None:
    skip_without(instruction_set)
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instruction_set}
    ran = subprocess.run(
        [sys.executable, "-c", REORDERS],
        env=environment, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    executed = [line for line in ran.stdout.splitlines() if ",exec," in line]
    convolutions = [line for line in executed if ",convolution," in line]
    # Two precisions of 55 and 48 convolutions, on two images, the first of them in strips.
    assert len(convolutions) >= 2 * 2 * (55 + 48)
    assert [line for line in executed if ",reorder," in line] == []


def conv(channels: int = 64) -> Conv:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(channels, channels, 3, 3, generator=rng)
    return Conv(weight, torch.zeros(channels), activation="relu")


def rows(height: int, channels: int = 64) -> torch.Tensor:
    img = torch.rand(1, channels, height, 20, generator=torch.Generator().manual_seed(1))
    return img.contiguous(memory_format=torch.channels_last)


def test_layouts_are_kept_for_a_bounded_number_of_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_fused_operations(torch.float32, CPU):
        pytest.skip("this torch has no fused operations on this processor")
    made: list[list[int]] = []
    lay_out = convolution._lay_out

    def count(weight: torch.Tensor, conv: Conv, size: list[int], pad: list[int]) -> torch.Tensor:
        made.append(size)
        return lay_out(weight, conv, size, pad)

    monkeypatch.setattr(convolution, "_lay_out", count)
    op = PreparedConv(conv(), torch.float32, CPU)
    expected = PreparedConv(conv(), torch.float32, CPU, fused=False)
    sizes = [10, 11, 10, 11, *range(12, 12 + convolution.MAX_INPUT_SIZES), 10]
    for height in sizes:
        torch.testing.assert_close(
            op(rows(height), 1, 1), expected(rows(height), 1, 1), atol=1e-4, rtol=1e-4
        )
    assert [size[2] for size in made] == [10, 11, *sizes[4:]]
    assert len(op._layouts) == convolution.MAX_INPUT_SIZES


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError, RuntimeError, TypeError])
def test_plain_convolutions_where_torch_lacks_the_operations(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise error("no such operation")

    expected = PreparedConv(conv(), torch.float32, CPU)(rows(10), 1, 1)
    monkeypatch.setattr(convolution, "_lay_out", fail)
    has_fused_operations.cache_clear()
    try:
        op = PreparedConv(conv(), torch.float32, CPU)
        assert not op.fused
        torch.testing.assert_close(op(rows(10), 1, 1), expected, atol=1e-4, rtol=1e-4)
    finally:
        has_fused_operations.cache_clear()


def test_operations_with_other_results_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out = convolution._lay_out
    monkeypatch.setattr(convolution, "_lay_out", lambda w, *rest: lay_out(2 * w, *rest))
    has_fused_operations.cache_clear()
    try:
        assert not has_fused_operations(torch.float32, CPU)
    finally:
        has_fused_operations.cache_clear()


@pytest.mark.parametrize(
    ("limit", "expected"), [("AVX2", False), ("avx512_core", False), ("AVX512_CORE_BF16", True)]
)
def test_the_limit_of_onednn_counts(
    limit: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert has_bf16_instructions() == expected
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not has_bf16_instructions()
