"""From files to scores against the bare network: what decoding and batching cost.

Both are timed on the same photos, in turns; the bare network on decoded tensors, in the very
batches that the path makes of the files.
"""

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.reference.seeded import write_official
from benchmarks.speed.photos import linked
from qualiclip_metric import images
from qualiclip_metric.scoring import batches as batching
from qualiclip_metric.scoring import score_files

MODELS = ("lite", "rn50-seeded")
ROUNDS = 5

Json = dict[str, Any]
Metric = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DecodedPhotos:
    """The photos of a measurement, decoded, and the batches that scoring would make of them."""

    files: list[Path]
    pixels: list[batching.Pixels]
    batches: list[tuple[int, ...]]

    @property
    def megapixels(self) -> float:
        """Of all photos together."""
        return sum(math.prod(one.shape[:2]) for one in self.pixels) / 1e6

    def tensors(self, device: str | torch.device) -> Iterator[Tensor]:
        """The batches as the path hands them to the network, one at a time."""
        buffer = batching.BatchBuffer(device)
        for batch in self.batches:
            yield buffer.fill([self.pixels[index] for index in batch])


def decode(files: Sequence[Path], batch_size: int, device: str | torch.device) -> DecodedPhotos:
    """Decode photos and plan their batches as `qualiclip_metric.scoring.score_files` does.

    Args:
        files: Photos.
        batch_size: Most images of one size at once.
        device: Where the metric computes; it decides the pixels in a batch.

    Returns:
        The photos, decoded, and their batches.

    Raises:
        ImageError: When a file is no image.
    """
    pixels = [images.pixels(path) for path in files]
    sizes = [(one.shape[0], one.shape[1]) for one in pixels]
    window = batching.WINDOW_BATCHES * batch_size
    planned = batching.plan_batches(sizes, batch_size, batching.batch_pixels(device), window)
    return DecodedPhotos(list(files), pixels, [positions for positions, _ in planned])


def measure(
    metric: Metric,
    files: Sequence[Path],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    seconds: float = 60.0,
    command: Sequence[str] = (),
) -> Json:
    """Images per second of the bare network and of the whole path, in turns.

    Args:
        metric: (N, 3, H, W) in [0, 1] -> N scores; its `device` says where it computes.
        files: Photos of mixed sizes, in mixed order; the first so many are taken as can be gone
            through several times in the time.
        batch_size: Most images of one size at once.
        workers: Decoding threads, as for `score`.
        seconds: About how long to measure; two rounds at the least.
        command: Options of `qualiclip score` that give the same metric; none, no command is run.

    Returns:
        Plain values: `network` and `path` (and `command`, with and without its start-up), each with
        images and megapixels per second as median, min and max over the rounds, `ratio` of path to
        network by round, and `ceiling`, the ratio to expect where the network keeps all cores busy.
    """
    device = getattr(metric, "device", "cpu")
    passes = 2 * 2 + bool(command)
    count = _affordable(metric, files, batch_size, device, seconds / passes)
    work = decode(files[:count], batch_size, device)
    decoding = _decoding_seconds(work.files)
    network: list[float] = []
    path: list[float] = []
    began = time.perf_counter()
    with torch.inference_mode():
        for turn in range(ROUNDS):
            for bare in (True, False) if turn % 2 == 0 else (False, True):
                if bare:
                    network.append(_network_seconds(metric, work, device))
                else:
                    path.append(_path_seconds(metric, work.files, batch_size, workers))
            spent = time.perf_counter() - began
            if turn and spent * (1 + (1 + bool(command)) / len(network) / 2) > seconds:
                break
    result = _figures(work, network, path, decoding)
    if command:
        result["command"] = _command(work, command)
    return result


def _figures(
    work: DecodedPhotos, network: Sequence[float], path: Sequence[float], decoding: float
) -> Json:
    """Seconds per round -> what `measure` returns."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    usual = statistics.median(network)
    return {
        "images": len(work.files),
        "megapixels": round(work.megapixels, 3),
        "sizes": len({one.shape for one in work.pixels}),
        "batches": len(work.batches),
        "rounds": len(network),
        "threads": torch.get_num_threads(),
        "decode_cpu_seconds": decoding,
        "network": _rates(network, work),
        "path": _rates(path, work),
        "ratio": _spread([a / b for a, b in zip(network, path, strict=True)]),
        "ceiling": usual / (usual + decoding / (cores or 1)),
    }


def rows(name: str, result: Json) -> list[str]:
    """Lines to print.

    Args:
        name: Model and precision.
        result: Of `measure`.

    Returns:
        The figures in words.
    """
    lines = [
        f"{name}: {result['images']} images, {result['megapixels']:.1f} MP, {result['sizes']} "
        f"sizes, {result['batches']} batches, {result['threads']} threads, "
        f"{result['rounds']} rounds"
    ]
    for kind in ("network", "path"):
        rate, pixels = result[kind]["images_per_second"], result[kind]["megapixels_per_second"]
        lines.append(f"  {kind:<22}{_range_text(rate)} images/s   {_range_text(pixels)} MP/s")
    lines.append(f"  {'path / network':<22}{_range_text(result['ratio'], 3)}")
    if "command" in result:
        there = result["command"]
        lines.append(
            f"  {'command':<22}{there['images_per_second']:.2f} images/s with its start-up of "
            f"{there['start_up_seconds']:.1f} s, {there['images_per_second_after_start_up']:.2f} "
            "without"
        )
    lines.append(
        f"  decoding takes {result['decode_cpu_seconds']:.2f} s of one core; were the network to "
        f"keep all cores busy, the ratio could be {result['ceiling']:.3f}"
    )
    return lines


def weights_of(name: str, scratch: Path) -> str:
    """What `create` takes for a model.

    Args:
        name: A model or checkpoint; ``rn50-seeded`` is an RN50 of seeded weights, for speed does
            not depend on them.
        scratch: Folder for the seeded weights.

    Returns:
        A name or a path.
    """
    if name != "rn50-seeded":
        return name
    path = scratch / "rn50.pth"
    return str(path if path.exists() else write_official(path))


def _affordable(
    metric: Metric,
    files: Sequence[Path],
    batch_size: int,
    device: str | torch.device,
    seconds: float,
) -> int:
    """How many of the photos go through the network in a time; also warms the network up."""
    work = decode(files[: 2 * batch_size], batch_size, device)
    with torch.inference_mode():
        taken = min(_network_seconds(metric, work, device) for _ in range(3))
    return max(batch_size, min(len(files), int(len(work.files) * seconds / taken)))


def _network_seconds(metric: Metric, work: DecodedPhotos, device: str | torch.device) -> float:
    """Seconds of the network alone: the batches are made while the clock stands still."""
    total = 0.0
    for tensor in work.tensors(device):
        if tensor.is_cuda:
            torch.cuda.synchronize()
        total += _timed(lambda tensor=tensor: metric(tensor).cpu())[1]  # type: ignore[misc]
    return total


def _path_seconds(
    metric: Metric, files: Sequence[Path], batch_size: int, workers: int | None
) -> float:
    results, elapsed = _timed(
        lambda: list(score_files(metric, files, batch_size=batch_size, workers=workers))
    )
    failed = [result.error for result in results if result.error is not None]
    if failed:
        raise ValueError(f"{len(failed)} photos could not be scored: {failed[0]}")
    return elapsed


def _command(work: DecodedPhotos, options: Sequence[str]) -> Json:
    """`qualiclip score` as a process: on one photo, which is its start-up, and on all."""
    with linked(work.files) as folder:
        first = min(folder.iterdir())
        words = [sys.executable, "-m", "qualiclip_metric", "score", "--format", "csv", *options]
        start_up, whole = (
            _timed(lambda path=path: run([*words, str(path)]))[1]  # type: ignore[misc]
            for path in (first, folder)
        )
    count = len(work.files)
    return {
        "start_up_seconds": start_up,
        "images_per_second": count / whole,
        "images_per_second_after_start_up": (count - 1) / (whole - start_up),
    }


def run(words: Sequence[str], **environment: str) -> None:
    """Run a command to its end.

    Args:
        words: The command.
        environment: Variables that it gets besides ours.

    Raises:
        ValueError: When it fails, with the end of what it said.
    """
    variables = {**os.environ, **environment}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(words)} failed: {done.stderr.strip()[-500:]}")


def _decoding_seconds(files: Sequence[Path]) -> float:
    began = time.thread_time()
    for path in files:
        images.size(path)
        images.pixels(path)
    return time.thread_time() - began


def _timed(act: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = act()
    return result, time.perf_counter() - began


def _rates(seconds: Sequence[float], work: DecodedPhotos) -> Json:
    return {
        "images_per_second": _spread([len(work.files) / s for s in seconds]),
        "megapixels_per_second": _spread([work.megapixels / s for s in seconds]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _range_text(spread: dict[str, float], digits: int = 2) -> str:
    median, low, high = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return f"{median:>7} ({low} to {high})"
