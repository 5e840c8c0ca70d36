"""Many image files -> many scores: decoding in threads ahead of the network, batches by size.

Knows files, tensors and any function from a batch to scores; prints nothing and knows no models.

The headers are read first, so that images of one size meet in a batch before anything is decoded,
and so that the memory is bounded in pixels, not in files. Decoding is Pillow's C code, which runs
outside Python's lock: threads start at once, send no pixels about, and so decode more images per
second than processes do (`python -m benchmarks.speed.path` prints both).
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric import images

BATCH_PIXELS = 2**22
"""Most pixels in a batch, unless it is a single image: 16 images of 512x512."""
CPU_BATCH_PIXELS = 2**20
"""The same on a CPU, where larger batches leave its caches: 4 images of 512x512."""
AHEAD_PIXELS = 2 * BATCH_PIXELS
"""Pixels that may be decoded, or waiting to be, besides the batch in the network and one more."""
WINDOW_BATCHES = 8
"""For how many batches' worth of files an image waits for others of its size."""

Size = tuple[int, int]
Pixels = NDArray[Any]
Metric = Callable[[Tensor], Tensor]
Place = TypeVar("Place")
Image = TypeVar("Image")
Outcome = TypeVar("Outcome")


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
            batch. A batch that it cannot take (out of memory, say) is tried image by image. On a
            CPU the batch's memory is used again for the next one: what is kept must be cloned.
        paths: Files.
        batch_size: Most images in a batch. Only images of one size share a batch, and at most
            `batch_pixels` together.
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
    sizes = map(_header, files)
    batches = plan(sizes, batch_size, batch_pixels(device), WINDOW_BATCHES * batch_size)
    floats = Floats(device)

    def decode(index: int) -> Pixels | str:
        try:
            return images.pixels(files[index], background)
        except images.ImageError as err:
            return str(err).removeprefix(f"{files[index]}: ")

    def forward(group: Sequence[Pixels]) -> list[float | str] | str:
        return _forward(metric, group, floats)

    early: dict[int, Result] = {}
    done, ready = 0, 0
    try:
        for batch in decode_ahead(batches, decode, workers):
            for index, outcome in outcomes(batch, forward, _looks):
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


def batch_pixels(device: str | torch.device) -> int:
    """Most pixels in a batch of more than one image on a device."""
    on_cpu = torch.device(device).type == "cpu"
    return min(BATCH_PIXELS, CPU_BATCH_PIXELS) if on_cpu else BATCH_PIXELS


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


def decode_ahead(
    batches: Iterable[tuple[Sequence[Place], int]],
    decode: Callable[[Place], Image],
    workers: int,
) -> Iterator[list[tuple[Place, Image]]]:
    """Decode batches in order, in threads, ahead of their use but within `AHEAD_PIXELS`.

    Args:
        batches: What to decode together, and its pixels; read no further than is decoded.
        decode: One image; what it throws ends everything.
        workers: Threads; 0 decodes when a batch is asked for.

    Yields:
        Each batch's places with what was decoded there.
    """
    if not workers:
        for places, _ in batches:
            yield [(place, decode(place)) for place in places]
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    queue: deque[tuple[list[tuple[Place, Future[Image]]], int]] = deque()
    ahead = 0
    try:
        for places, size in batches:
            queue.append(([(place, pool.submit(decode, place)) for place in places], size))
            ahead += size
            while len(queue) > 1 and ahead > AHEAD_PIXELS:
                futures, freed = queue.popleft()
                yield [(place, future.result()) for place, future in futures]
                ahead -= freed
        while queue:
            futures, _ = queue.popleft()
            yield [(place, future.result()) for place, future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def outcomes(
    batch: Sequence[tuple[Place, Image | str]],
    forward: Callable[[Sequence[Image]], Sequence[Outcome] | str],
    looks: Callable[[Image], object],
) -> Iterator[tuple[Place, Outcome | str]]:
    """What comes of each image of a batch; a bad one costs only itself.

    Args:
        batch: Places and images, or the reason why there is no image.
        forward: Images -> an outcome of each; or one reason for all of them, on which each is
            tried alone.
        looks: Only images for which this is equal go through together.

    Yields:
        Each place once, with its outcome or the reason why there is none.
    """
    groups: dict[object, list[tuple[Place, Image]]] = {}
    for place, image in batch:
        if isinstance(image, str):
            yield place, image
        else:  # an orientation may have turned some of a batch
            groups.setdefault(looks(image), []).append((place, image))
    for group in groups.values():
        found = forward([image for _, image in group])
        if not isinstance(found, str):
            yield from zip((place for place, _ in group), found, strict=True)
        elif len(group) == 1:
            yield group[0][0], found
        else:
            for place, image in group:
                alone = forward([image])
                yield place, alone if isinstance(alone, str) else alone[0]


class Floats:
    """Images of one size -> what a metric takes, (N, 3, H, W) float32 RGB, channels last.

    On a CPU each image is converted straight to its place in one buffer, which the next batch uses
    again: fresh memory for each batch costs several times what the conversion does.

    Args:
        device: Where the batches go; to any but the CPU, pixels go as bytes.
    """

    def __init__(self, device: str | torch.device) -> None:
        self.device = torch.device(device)
        self.buffer = torch.empty(0)

    def __call__(self, group: Sequence[Pixels]) -> Float[Tensor, "n 3 h w"]:
        """A batch of (H, W, 3) images, bytes or floats; on a CPU valid until the next call."""
        scale = 255 if group[0].dtype == np.uint8 else 1
        if self.device.type != "cpu":
            return torch.from_numpy(np.stack(group)).to(self.device).permute(0, 3, 1, 2) / scale
        numbers = len(group) * group[0].size
        if self.buffer.numel() < numbers:
            self.buffer = torch.empty(numbers)
        batch = self.buffer[:numbers].view(len(group), *group[0].shape)
        for place, image in zip(batch.numpy(), group, strict=True):
            np.divide(image, np.float32(scale), out=place, dtype=np.float32)
        return batch.permute(0, 3, 1, 2)


def _looks(image: Pixels) -> object:
    return image.shape, image.dtype


def _forward(metric: Metric, group: Sequence[Pixels], floats: Floats) -> list[float | str] | str:
    """Scores of images of one shape, each finite or an error; or one error for all of them."""
    try:
        batch = floats(group)
        with torch.inference_mode():
            scores = metric(batch).double().flatten().tolist()
    except (ValueError, RuntimeError, MemoryError) as err:
        return (str(err).strip().splitlines() or [type(err).__name__])[0]
    if len(scores) != len(group):
        return f"the metric gave {len(scores)} scores for {len(group)} images"
    return [s if math.isfinite(s) else f"the metric gave {s}, no finite score" for s in scores]
