"""Engine `torch`: runs a layer graph in torch, large images in strips of rows, exactly.

A large image goes through all layers in strips. Every convolution and pool keeps the last input
rows that its next window needs together with the next strip. No row is computed twice, the result
is exact, and the maps between the image and the last layer take the memory of one strip.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from qualiclip_metric.engines.convolution import PreparedConv
from qualiclip_metric.engines.layers import Conv, LayerGraph, Pool, Residual, Stage
from qualiclip_metric.engines.processor import has_bf16_instructions
from qualiclip_metric.engines.rounding import to_bf16

STRIP_VALUES = 2**23
"""Values in a strip's largest feature map, 32 MB in fp32: few enough that the allocator gives the
same memory to every strip, many enough for all cores. Measured: docs/lab/performance.md."""
ROWS = 32
"""A strip has a multiple of this many rows, the stride of the trunks: whole output rows."""


class StripEngine:
    """A layer graph, ready to run in one precision on one device.

    An image with fewer than `strip_pixels` pixels (default: by `STRIP_VALUES`) is computed whole.
    """

    def __init__(
        self,
        graph: LayerGraph,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        strip_pixels: int | None = None,
    ) -> None:
        self.strip_pixels = strip_pixels or int(STRIP_VALUES / graph.max_values_per_pixel)
        where = torch.device(device)
        self.mean = graph.mean.to(where).view(3, 1, 1)
        self.std = graph.std.to(where).view(3, 1, 1)
        # on a CPU without instructions for bf16: rounded weights, but arithmetic in fp32, faster
        emulated = dtype == torch.bfloat16 and where.type == "cpu" and not has_bf16_instructions()
        arithmetic = torch.float32 if emulated else dtype
        first, *others = graph.parts
        count = graph.fp32_stages if dtype != torch.float32 else 0
        self.first_dtype = torch.float32 if count else arithmetic

        def prepare(conv: Conv) -> PreparedConv:
            rounded = to_bf16(conv) if dtype == torch.bfloat16 else conv
            return PreparedConv(rounded, arithmetic, where)

        fp32 = _prepared(first[:count], lambda conv: PreparedConv(conv, torch.float32, where))
        rest = [_prepared(part, prepare) for part in (first[count:], *others)]
        self.parts: list[list[_PreparedStage]] = [[*fp32, arithmetic, *rest[0]], *rest[1:]]

    @torch.no_grad()
    def __call__(self, img: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) RGB in [0, 1] -> the feature map of each part, in the engine's dtype."""
        # as many small images at once as fit into one strip
        count = max(1, self.strip_pixels // (img.shape[2] * img.shape[3]))
        if count >= len(img):
            return self._feature_maps(img)
        batches = [self._feature_maps(img[i : i + count]) for i in range(0, len(img), count)]
        return tuple(torch.cat(maps) for maps in zip(*batches, strict=True))

    def _feature_maps(self, img: Tensor) -> tuple[Tensor, ...]:
        """Compute a few small images as one strip, or a large one in several."""
        n, _, height, width = img.shape
        states: list[_SequenceState] = []
        for part in self.parts:
            states.append(_SequenceState(part, states[-1].height if states else height))
        strips = max(1, n * height * width // self.strip_pixels)
        step = -(-height // strips // ROWS) * ROWS  # rounded up to a multiple of ROWS
        pieces: list[list[Tensor]] = [[] for _ in states]
        # The first strip is taller: every later strip has the rows that a stage kept from the one
        # before in addition to its own, and should fit into the memory that the first one frees.
        for top, bottom in pairwise([0, *range(step + ROWS, height, step), height]):
            strip = (img[:, :, top:bottom] - self.mean).div_(self.std)  # (N, 3, rows, W)
            rows = strip.to(self.first_dtype, memory_format=torch.channels_last)
            for state, piece in zip(states, pieces, strict=True):
                rows = state.push(rows, bottom == height)  # (N, C, rows / stride, W / stride)
                piece.append(rows)
        return tuple(_stacked(piece) for piece in pieces)


class _PreparedResidual:
    """A residual whose convolutions are prepared."""

    def __init__(self, stage: Residual, prepare: Callable[[Conv], PreparedConv]) -> None:
        self.branch = _prepared(stage.branch, prepare)
        self.last = prepare(stage.last)
        self.shortcut = _prepared(stage.shortcut, prepare)


_PreparedStage = PreparedConv | Pool | _PreparedResidual | torch.dtype
"""A stage for one device; a dtype is a change of precision between two stages."""


def _prepared(
    stages: Sequence[Stage], prepare: Callable[[Conv], PreparedConv]
) -> list[_PreparedStage]:
    made: list[_PreparedStage] = []
    for stage in stages:
        if isinstance(stage, Conv):
            made.append(prepare(stage))
        else:
            made.append(stage if isinstance(stage, Pool) else _PreparedResidual(stage, prepare))
    return made


class _SequenceState:
    """Stages one after the other, during one pass over an image from its top to its bottom.

    As in each stage's state, `height` is the number of rows of the whole output; `push` takes the
    next rows of the input and returns as many rows of the output as they allow.
    """

    def __init__(self, stages: Sequence[_PreparedStage], height: int) -> None:
        self.states: list[_StageState] = []
        self.height = height
        for stage in stages:
            state = _state(stage, self.height)
            self.states.append(state)
            self.height = state.height

    def push(self, rows: Tensor, last: bool) -> Tensor:
        for state in self.states:
            rows = state.push(rows, last)
        return rows


class _ConvState:
    """A convolution, and the input rows that its next windows need."""

    def __init__(self, op: PreparedConv, height: int) -> None:
        self.op, self.kernel, self.stride = op, op.conv.kernel, op.conv.stride
        self.top, self.bottom = op.conv.padding(height)
        self.height = op.conv.output(height)
        self.kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        if self.kept is None and last:  # the whole image at once
            return self.op(rows, self.top, self.bottom)
        if self.kernel > 1:
            kept = _zero_rows(rows, self.top) if self.kept is None else self.kept
            rows = _stacked([kept, rows, _zero_rows(rows, self.bottom if last else 0)])
            # windows that are complete: window k covers the rows from k * stride on
            count = max(0, (rows.shape[2] - self.kernel) // self.stride + 1)
            self.kept = _kept(rows[:, :, count * self.stride :], self.kept)
            rows = rows[:, :, : (count - 1) * self.stride + self.kernel if count else 0]
        if not rows.shape[2]:
            conv = self.op.conv
            return rows.new_empty(len(rows), len(conv.weight), 0, conv.output(rows.shape[3]))
        return self.op(rows, 0, 0)


class _CastState:
    """A change of precision."""

    def __init__(self, dtype: torch.dtype, height: int) -> None:
        self.dtype, self.height = dtype, height

    def push(self, rows: Tensor, last: bool) -> Tensor:
        return rows.to(self.dtype)


class _PoolState:
    """A pool, and the input rows of its next, incomplete window."""

    def __init__(self, pool: Pool, height: int) -> None:
        self.kernel, self.height = pool.kernel, pool.output(height)
        self.kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        if self.kept is not None:
            rows = _stacked([self.kept, rows])
        whole = rows.shape[2] // self.kernel * self.kernel
        self.kept = _kept(rows[:, :, whole:], self.kept)
        if not whole:
            return rows[:, :, :0, : rows.shape[3] // self.kernel]
        return functional.avg_pool2d(rows[:, :, :whole], self.kernel)


class _ResidualState:
    """A residual, and the rows of the shortcut whose branch is not computed yet.

    The branch is some rows behind, because its kernels wait for rows of the next strip.
    """

    def __init__(self, stage: _PreparedResidual, height: int) -> None:
        self.branch = _SequenceState(stage.branch, height)
        self.shortcut = _SequenceState(stage.shortcut, height)
        self.last, self.height = stage.last, self.branch.height
        self.kept: Tensor | None = None

    def push(self, rows: Tensor, last: bool) -> Tensor:
        branch = self.branch.push(rows, last)
        shortcut = self.shortcut.push(rows, last)
        if self.kept is not None:
            shortcut = _stacked([self.kept, shortcut])
        count = branch.shape[2]
        self.kept = _kept(shortcut[:, :, count:], self.kept)
        shortcut = shortcut[:, :, :count].contiguous(memory_format=torch.channels_last)
        return self.last.add_to(shortcut, branch)


_StageState = _ConvState | _CastState | _PoolState | _ResidualState


def _state(stage: _PreparedStage, height: int) -> _StageState:
    if isinstance(stage, PreparedConv):
        return _ConvState(stage, height)
    if isinstance(stage, torch.dtype):
        return _CastState(stage, height)
    return _PoolState(stage, height) if isinstance(stage, Pool) else _ResidualState(stage, height)


def _stacked(pieces: Sequence[Tensor]) -> Tensor:
    """Concatenate rows, channels last."""
    filled = [piece for piece in pieces if piece.shape[2]] or list(pieces[:1])
    if len(filled) == 1:
        return filled[0].contiguous(memory_format=torch.channels_last)
    return torch.cat(filled, dim=2).contiguous(memory_format=torch.channels_last)


def _kept(rows: Tensor, memory: Tensor | None) -> Tensor:
    """Copy rows for the next strip, into the memory of the rows kept before if it fits.

    Without a copy, a few kept rows would keep the memory of the whole strip.
    """
    if memory is not None and memory.shape == rows.shape:
        return memory.copy_(rows)
    return rows.clone()


def _zero_rows(like: Tensor, rows: int) -> Tensor:
    n, channels, _, width = like.shape
    # made as (N, rows, W, C) and permuted: channels last in memory
    return like.new_zeros(n, rows, width, channels).permute(0, 3, 1, 2)
