"""Runs a plan in torch: fused operations, and large images in strips of rows, exactly.

Knows plans and tensors, no models. Three things make it faster than the modules a plan was made
from: each convolution, its bias, its activation and the sum with the shortcut are one operation of
oneDNN; in bf16 the weights are laid out for it once; and a large image goes through all layers in
strips. Every sliding operation keeps the few rows of a strip that it needs for the next one, so
that nothing is computed twice, nothing is approximated, and what lies between the image and the
last feature map takes memory for one strip.

The operations give no gradients. Reference: torch's own compiler uses the same operations on CPUs
(torch/_inductor/fx_passes/mkldnn_fusion.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from qualiclip_metric.engines.plan import Activation, Conv, Plan, Pool, Residual, Stage
from qualiclip_metric.engines.rounding import to_bf16

STRIP_VALUES = 2**23
"""Values in a strip's largest feature map: few enough for memory that is used again and again, and
many enough to keep the processor busy. As measured: docs/performance.md."""
ROWS = 32
"""A strip has a multiple of this many rows, the stride of the trunks."""

_FUSED: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""Activation -> its name and arguments in oneDNN's operations."""


class StripEngine:
    """A plan, ready to run in one precision on one device.

    Args:
        plan: What to compute.
        dtype: Precision of weights and activations.
        device: Where.
        strip_pixels: Pixels per strip; by `STRIP_VALUES` unless told. An image with fewer goes
            through whole.
    """

    def __init__(
        self,
        plan: Plan,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        strip_pixels: int | None = None,
    ) -> None:
        self.strip_pixels = strip_pixels or int(STRIP_VALUES / plan.widest)
        self.mean = plan.mean.to(device).view(3, 1, 1)
        self.std = plan.std.to(device).view(3, 1, 1)
        place = torch.device(device)
        first, *others = plan.parts
        exact, rest = first[: plan.exact], first[plan.exact :]
        self.parts: list[list[_Prepared]] = [
            [
                *(_prepared(stage, torch.float32, place) for stage in exact),
                _Cast(dtype),
                *(_prepared(stage, dtype, place) for stage in rest),
            ],
            *([_prepared(stage, dtype, place) for stage in part] for part in others),
        ]
        self.first_dtype = torch.float32 if exact else dtype

    @torch.no_grad()
    def __call__(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) RGB in [0, 1] -> the feature map of each part, in the engine's dtype."""
        count = max(1, self.strip_pixels // (img.shape[2] * img.shape[3]))
        if count >= len(img):
            return self._maps(img)
        found = [self._maps(img[first : first + count]) for first in range(0, len(img), count)]
        return tuple(torch.cat(pieces) for pieces in zip(*found, strict=True))

    def _maps(self, img: Tensor) -> tuple[Tensor, ...]:
        """Images that share strips: as many as a strip has room for, or a single large one."""
        n, _, height, width = img.shape
        runs, size = [], height
        for part in self.parts:
            run = _Chain(part, size)
            runs.append(run)
            size = run.height
        strips = max(1, n * height * width // self.strip_pixels)
        step = -(-height // strips // ROWS) * ROWS
        pieces: list[list[Tensor]] = [[] for _ in runs]
        # The first strip is taller: every stage keeps some rows of it, and what it frees should
        # have room for what the others need.
        for top, bottom in pairwise([0, *range(step + ROWS, height, step), height]):
            strip = (img[:, :, top:bottom] - self.mean).div_(self.std)
            rows = strip.to(self.first_dtype, memory_format=torch.channels_last)
            for run, done in zip(runs, pieces, strict=True):
                rows = run.push(rows, bottom == height)
                done.append(rows)
        return tuple(_joined(done) for done in pieces)


class _PreparedConv:
    """A convolution's weights where and how they are used, and the operation itself."""

    def __init__(self, conv: Conv, dtype: torch.dtype, device: torch.device) -> None:
        conv = to_bf16(conv) if dtype == torch.bfloat16 else conv
        # the sizes of the weights, without a second copy of them
        self.conv = replace(conv, weight=conv.weight.to("meta"))
        self.name, self.bounds = _FUSED[conv.activation]
        self.fused = _has_fused(dtype, device)
        self.bias = conv.bias.to(device, dtype)
        weight = conv.weight.to(device, dtype)
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        if self.fused and dtype == torch.bfloat16:
            # In fp32 the best layout depends on the input's size, and a wrong one costs more than
            # laying out the weights on each call.
            half = [conv.kernel // 2] * 2
            self.weight = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                weight.to_mkldnn(), half, [conv.stride] * 2, [1, 1], conv.groups
            )

    def __call__(self, rows: Tensor, top: int, bottom: int) -> Tensor:
        conv = self.conv
        left, right = conv.padding(rows.shape[3])
        if top != bottom or left != right:
            rows = functional.pad(rows, (left, right, top, bottom))
            rows = rows.contiguous(memory_format=torch.channels_last)
            left = top = 0
        padding, stride = [top, left], [conv.stride] * 2
        if self.fused:
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                rows, self.weight, self.bias, padding, stride, [1, 1], conv.groups,
                self.name, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias, stride, padding, 1, conv.groups)
        return _activated(out, conv.activation)

    def add_to(self, other: Tensor, rows: Tensor) -> Tensor:
        """Activation of the convolution's outcome plus `other`, which is overwritten."""
        conv = self.conv
        if not len(rows) * rows.shape[2]:
            return other
        if self.fused and conv.activation != "relu6":
            name = self.name if conv.activation != "none" else None
            out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
                other, rows, self.weight, self.bias, [0, 0], [1, 1], [1, 1], conv.groups,
                "add", 1.0, name, self.bounds, "",
            )  # fmt: skip
            return out
        out = functional.conv2d(rows, self.weight, self.bias)
        return _activated(other.add_(out), conv.activation)


class _PreparedResidual:
    def __init__(self, stage: Residual, dtype: torch.dtype, device: torch.device) -> None:
        self.branch = [_prepared(one, dtype, device) for one in stage.branch]
        self.shortcut = [_prepared(one, dtype, device) for one in stage.shortcut]
        self.last = _PreparedConv(stage.last, dtype, device)


@dataclass(frozen=True)
class _Cast:
    """From one precision to another, between stages."""

    dtype: torch.dtype


_Prepared = _PreparedConv | Pool | _PreparedResidual | _Cast


def _prepared(stage: Stage, dtype: torch.dtype, device: torch.device) -> _Prepared:
    if isinstance(stage, Conv):
        return _PreparedConv(stage, dtype, device)
    return stage if isinstance(stage, Pool) else _PreparedResidual(stage, dtype, device)


class _Run(Protocol):
    """One stage at work on one batch: rows go in from the top of the image to its bottom."""

    height: int
    """Rows that come out in all."""

    def push(self, rows: Tensor, last: bool) -> Tensor:
        """Rows of the input, (N, C, any, W) -> as many rows of the outcome as they suffice for."""


class _Chain:
    def __init__(self, stages: Sequence[_Prepared], height: int) -> None:
        self.runs: list[_Run] = []
        self.height = height
        for stage in stages:
            run = _run(stage, self.height)
            self.runs.append(run)
            self.height = run.height

    def push(self, rows: Tensor, last: bool) -> Tensor:
        for run in self.runs:
            rows = run.push(rows, last)
        return rows


class _Window:
    """A convolution: it keeps the rows that its kernel still needs."""

    def __init__(self, op: _PreparedConv, height: int) -> None:
        self.op, self.kernel, self.stride = op, op.conv.kernel, op.conv.stride
        self.top, self.bottom = op.conv.padding(height)
        self.height = op.conv.output(height)
        self.kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        if self.kept is None and last:  # the whole image at once
            return self.op(rows, self.top, self.bottom)
        if self.kernel > 1:
            kept = _blank(rows, self.top) if self.kept is None else self.kept
            rows = _joined([kept, rows, _blank(rows, self.bottom if last else 0)])
            count = max(0, (rows.shape[2] - self.kernel) // self.stride + 1)
            self.kept = _copied(rows[:, :, count * self.stride :], self.kept)
            rows = rows[:, :, : (count - 1) * self.stride + self.kernel if count else 0]
        if not rows.shape[2]:
            conv = self.op.conv
            return rows.new_empty(len(rows), len(conv.weight), 0, conv.output(rows.shape[3]))
        return self.op(rows, 0, 0)


class _Casting:
    def __init__(self, cast: _Cast, height: int) -> None:
        self.dtype, self.height = cast.dtype, height

    def push(self, rows: Tensor, last: bool) -> Tensor:
        return rows.to(self.dtype)


class _Averages:
    """A pool: it keeps the rows that make no whole window yet."""

    def __init__(self, pool: Pool, height: int) -> None:
        self.kernel, self.height = pool.kernel, pool.output(height)
        self.kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        if self.kept is not None:
            rows = _joined([self.kept, rows])
        whole = rows.shape[2] // self.kernel * self.kernel
        self.kept = _copied(rows[:, :, whole:], self.kept)
        if not whole:
            return rows[:, :, :0, : rows.shape[3] // self.kernel]
        return functional.avg_pool2d(rows[:, :, :whole], self.kernel)


class _Sum:
    """A residual: the short way waits for the long one, which lags behind by its kernels."""

    def __init__(self, stage: _PreparedResidual, height: int) -> None:
        self.branch, self.shortcut = _Chain(stage.branch, height), _Chain(stage.shortcut, height)
        self.last, self.height = stage.last, self.branch.height
        self.waiting: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        long = self.branch.push(rows, last)
        short = self.shortcut.push(rows, last)
        if self.waiting is not None:
            short = _joined([self.waiting, short])
        count = long.shape[2]
        self.waiting = _copied(short[:, :, count:], self.waiting)
        short = short[:, :, :count].contiguous(memory_format=torch.channels_last)
        return self.last.add_to(short, long)


def _run(stage: _Prepared, height: int) -> _Run:
    if isinstance(stage, _PreparedConv):
        return _Window(stage, height)
    if isinstance(stage, _Cast):
        return _Casting(stage, height)
    return _Averages(stage, height) if isinstance(stage, Pool) else _Sum(stage, height)


def _joined(pieces: Sequence[Tensor]) -> Tensor:
    """Rows below each other."""
    filled = [piece for piece in pieces if piece.shape[2]] or list(pieces[:1])
    if len(filled) == 1:
        return filled[0].contiguous(memory_format=torch.channels_last)
    return torch.cat(filled, dim=2).contiguous(memory_format=torch.channels_last)


def _copied(rows: Tensor, place: Tensor | None) -> Tensor:
    """Rows that outlive their strip, in the place of the last strip's where they fit."""
    if place is not None and place.shape == rows.shape:
        return place.copy_(rows)
    return rows.clone()


def _blank(like: Tensor, rows: int) -> Tensor:
    n, channels, _, width = like.shape
    return like.new_zeros(n, rows, width, channels).permute(0, 3, 1, 2)


def _activated(out: Tensor, activation: Activation) -> Tensor:
    if activation == "none":
        return out
    return out.relu_() if activation == "relu" else out.clamp_(0, 6)


def _has_fused(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether oneDNN's fused operations serve this precision on this device."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
