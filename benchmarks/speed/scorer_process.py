"""Time one scorer in a fresh process: its memory is its own, and no other scorer warmed it up."""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.speed.machine import bf16_instructions
from benchmarks.speed.timing import call_seconds

__all__ = ["ScorerTiming", "SizeTiming", "SpeedTask", "made_image", "run_task", "time_scorer"]

PEER, ONNX = "peer", "onnxruntime"


@dataclass(frozen=True)
class SpeedTask:
    """A scorer to time, and the images to time it on."""

    scorer: str  # `peer` (pyiqa's own class), `onnxruntime`, or an engine of this package
    checkpoint: str  # model or file for it
    # (height, width) of the images, smallest first, so that the peak memory after each is its own
    sizes: Sequence[tuple[int, int]]
    precision: str = "fp32"  # of an engine of this package
    batch: int = 1  # images per call
    photos: bool = False  # whether to score scikit-image's photos as well


@dataclass(frozen=True)
class SizeTiming:
    """Figures of one size."""

    size: tuple[int, int]  # (height, width)
    first: float  # seconds of the first call
    seconds: float  # of a later call, the median
    peak: float  # megabytes (10^6 bytes) of the process at most, so far
    score: float  # of the first image


@dataclass(frozen=True)
class ScorerTiming:
    """Figures of one scorer."""

    bf16: str  # instructions that multiply bf16, or "none"
    created: float  # seconds until the scorer was there
    sizes: list[SizeTiming]  # figures of each size
    photo_scores: list[float]  # of scikit-image's photos; empty where they were not asked for


def run_task(task: SpeedTask) -> ScorerTiming:
    """Run `time_scorer` in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(time_scorer, task).result()


def time_scorer(task: SpeedTask) -> ScorerTiming:
    """Build a scorer and time it in this process."""
    began = time.perf_counter()
    scorer = _build(task)
    created = time.perf_counter() - began
    with torch.inference_mode():
        sizes = [_time_size(scorer, size, task.batch) for size in task.sizes]
        shown = [scorer(photo).item() for photo in _photos()] if task.photos else []
    return ScorerTiming(bf16_instructions(), created, sizes, shown)


def _build(task: SpeedTask) -> Callable[[Tensor], Tensor]:
    if task.scorer == PEER:
        from benchmarks.reference.parity import upstream

        return upstream("qualiclip", task.checkpoint)
    if task.scorer == ONNX:
        from qualiclip_metric.export import onnx_scorer

        return onnx_scorer(task.checkpoint)
    from qualiclip_metric import create

    return create(task.checkpoint, engine=task.scorer, precision=task.precision)


def _time_size(scorer: Callable[[Tensor], Tensor], size: tuple[int, int], batch: int) -> SizeTiming:
    img = made_image(*size, batch)
    began = time.perf_counter()
    score = scorer(img).flatten()[0].item()
    first = time.perf_counter() - began
    return SizeTiming(size, first, call_seconds(lambda: scorer(img)), _peak(), score)


def made_image(height: int, width: int, batch: int = 1) -> Tensor:
    """Random blocks under random noise: (batch, 3, H, W) in [0, 1]."""
    rng = torch.Generator().manual_seed(height * width)
    # in place: at 8K a copy would count in the peak memory
    img = torch.rand(batch, 3, height, width, generator=rng).mul_(0.2)
    for channel, blocks in enumerate(torch.rand(3, 8, 8, generator=rng)):
        coarse = nn.functional.interpolate(blocks[None, None], (height, width))
        img[:, channel] += 0.8 * coarse[0]
    return img


def _photos() -> list[Tensor]:
    """scikit-image's photos, each (1, 3, H, W) in [0, 1]."""
    from benchmarks.datasets.photos import pristine

    return [photo[None] for photo in pristine(None).values()]


def _peak() -> float:
    """Largest resident set of this process so far, in megabytes (10^6 bytes)."""
    # /proc first: Linux's getrusage also counts what the parent held when it started us
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
