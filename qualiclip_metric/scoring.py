"""Many image files -> many scores: decoding in threads ahead of the network, batches by size.

Knows files, tensors and any function from a batch to scores; prints nothing and knows no models.

The headers are read first, so that images of one size meet in a batch before anything is decoded,
and so that the memory is bounded in pixels, not in files. Decoding is Pillow's C code, which runs
outside Python's lock: threads decode as fast as processes would, start at once and copy nothing.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric import images

BATCH_PIXELS = 2**22
"""Most pixels in a batch, unless it is a single image: 16 images of 512x512."""
AHEAD_PIXELS = 2 * BATCH_PIXELS
"""Pixels that may be decoded, or waiting to be, besides the batch in the network and one more."""
WINDOW_BATCHES = 8
"""For how many batches' worth of files an image waits for others of its size."""

Size = tuple[int, int]
Pixels = NDArray[Any]
Metric = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Result:
    """One image's outcome: a score, or the reason why there is none.

    Args:
        path: The file, as it was given.
        score: What the metric says, finite; None on failure.
        error: One line on what went wrong; None on success.
    """

    path: Path
    score: float | None = None
    error: str | None = None


def score(
    metric: Metric,
    paths: Iterable[str | Path],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    background: images.RGB = images.WHITE,
    device: str | torch.device | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Result]:
    """Score image files. A file that fails costs its own row and no other.

    Args:
        metric: (N, 3, H, W) RGB in [0, 1] -> N scores of any shape, one per image whatever the
            batch. A batch that it cannot take (out of memory, say) is tried image by image.
        paths: Files.
        batch_size: Most images in a batch. Only images of one size share a batch, and at most
            `BATCH_PIXELS` together.
        workers: Decoding threads; as many as cores, 8 at most, unless told.
        background: RGB in 0..255 under transparent pixels.
        device: Where the metric computes; its `device` attribute, or the CPU, unless told. Pixels
            go there as bytes.
        progress: Called with the number of images done so far.

    Yields:
        One result per path, in the order of the paths, as soon as it and all before it are done.
        When interrupted (Ctrl-C), first what is done out of order, then KeyboardInterrupt.

    Raises:
        ValueError: When batch_size or workers is below 1.
    """
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    if batch_size < 1 or workers < 1:
        raise ValueError(
            f"expected batch_size and workers of at least 1, got {batch_size} and {workers}"
        )
    if device is None:
        device = getattr(metric, "device", "cpu")
    files = [Path(path) for path in paths]
    return _scored(metric, files, batch_size, workers, background, device, progress)


def _scored(
    metric: Metric,
    files: Sequence[Path],
    batch_size: int,
    workers: int,
    background: images.RGB,
    device: str | torch.device,
    progress: Callable[[int], None] | None,
) -> Iterator[Result]:
    batches = plan(map(_header, files), batch_size, BATCH_PIXELS, WINDOW_BATCHES * batch_size)

    def decode(index: int) -> Pixels | str:
        try:
            return images.pixels(files[index], background)
        except images.ImageError as err:
            return str(err).removeprefix(f"{files[index]}: ")

    early: dict[int, Result] = {}
    done, ready = 0, 0
    try:
        for batch in _decoded(batches, decode, workers):
            for index, outcome in _outcomes(metric, batch, device).items():
                early[index] = _result(files[index], outcome)
                done += 1
            if progress is not None:
                progress(done)
            while ready in early:
                yield early.pop(ready)
                ready += 1
    except KeyboardInterrupt:
        yield from (early[index] for index in sorted(early))
        raise


def _result(path: Path, outcome: float | str) -> Result:
    if isinstance(outcome, str):
        return Result(path, error=outcome)
    return Result(path, score=outcome)


def plan(
    sizes: Iterable[Size], batch_size: int, max_pixels: int, window: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Which images go through the network together.

    Args:
        sizes: (height, width) of each image, read no further than the window needs.
        batch_size: Most images in a batch.
        max_pixels: Most pixels in a batch of more than one image.
        window: An image waits for others of its size while fewer than this many follow it.

    Yields:
        Positions of the images of a batch, and their pixels together. Every position occurs once.
    """
    waiting: dict[Size, list[int]] = {}

    def take(size: Size) -> tuple[tuple[int, ...], int]:
        group = waiting.pop(size)
        return tuple(group), len(group) * math.prod(size)

    for position, size in enumerate(sizes):
        waiting.setdefault(size, []).append(position)
        if len(waiting[size]) >= min(batch_size, max_pixels // max(1, math.prod(size))):
            yield take(size)
        oldest = next(iter(waiting), None)
        if oldest is not None and position - waiting[oldest][0] >= window:
            yield take(oldest)
    while waiting:
        yield take(next(iter(waiting)))


def _header(path: Path) -> Size:
    """Size by the file's header; 0x0 where it cannot be read, decoding will then say why."""
    try:
        return images.size(path)
    except images.ImageError:
        return 0, 0


def _decoded(
    batches: Iterable[tuple[tuple[int, ...], int]],
    decode: Callable[[int], Pixels | str],
    workers: int,
) -> Iterator[dict[int, Pixels | str]]:
    """Decode batches in order, ahead of their use, within `AHEAD_PIXELS`."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    queue: deque[tuple[dict[int, Future[Pixels | str]], int]] = deque()
    ahead = 0
    try:
        for positions, size in batches:
            queue.append(({index: pool.submit(decode, index) for index in positions}, size))
            ahead += size
            while len(queue) > 1 and ahead > AHEAD_PIXELS:
                futures, freed = queue.popleft()
                yield {index: future.result() for index, future in futures.items()}
                ahead -= freed
        while queue:
            futures, _ = queue.popleft()
            yield {index: future.result() for index, future in futures.items()}
    finally:
        pool.shutdown(cancel_futures=True)


def _outcomes(
    metric: Metric, batch: dict[int, Pixels | str], device: str | torch.device
) -> dict[int, float | str]:
    """The score of each image, or its error."""
    outcomes: dict[int, float | str] = {}
    groups: dict[tuple[Any, ...], dict[int, Pixels]] = {}
    for index, image in batch.items():
        if isinstance(image, str):
            outcomes[index] = image
        else:  # an orientation may have turned some of a batch
            groups.setdefault((image.shape, image.dtype), {})[index] = image
    for group in groups.values():
        scores = _forward(metric, list(group.values()), device)
        if isinstance(scores, str) and len(group) > 1:
            scores = [_single(metric, image, device) for image in group.values()]
        outcomes |= zip(group, [scores] if isinstance(scores, str) else scores, strict=True)
    return outcomes


def _single(metric: Metric, image: Pixels, device: str | torch.device) -> float | str:
    scores = _forward(metric, [image], device)
    return scores if isinstance(scores, str) else scores[0]


def _forward(
    metric: Metric, group: Sequence[Pixels], device: str | torch.device
) -> list[float | str] | str:
    """Scores of images of one shape, each finite or an error; or one error for all of them."""
    try:
        batch = torch.from_numpy(np.stack(group)).to(device).permute(0, 3, 1, 2)
        batch = batch.float().div_(255) if batch.dtype == torch.uint8 else batch
        with torch.inference_mode():
            scores = metric(batch).double().flatten().tolist()
    except (ValueError, RuntimeError, MemoryError) as err:
        return (str(err).strip().splitlines() or [type(err).__name__])[0]
    if len(scores) != len(group):
        return f"the metric gave {len(scores)} scores for {len(group)} images"
    return [s if math.isfinite(s) else f"the metric gave {s}, no finite score" for s in scores]
