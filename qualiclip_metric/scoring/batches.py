"""Batches of images of one size: planned by headers, decoded ahead, a bad image costing itself.

The headers are read first, so that images of one size meet in a batch before anything is decoded,
and so that the memory is bounded in pixels, not in files. Decoding is Pillow's C code, which runs
outside Python's lock: threads start at once, send no pixels about, and so decode more images per
second than processes do (docs/lab/performance.md).
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.resize import reduced_in_strips

BATCH_PIXELS = 2**22
"""Most pixels in a batch, unless it is a single image: 16 images of 512x512."""
CPU_BATCH_PIXELS = 2**20
"""The same on a CPU, where larger batches leave its caches: 4 images of 512x512."""
AHEAD_PIXELS = 2 * BATCH_PIXELS
"""Pixels that may be decoded, or waiting to be, besides the batch in the network and one more."""
AHEAD_BATCHES = 32
"""The same in batches: small images, and files that cannot be read, have few pixels or none."""
MOST_AHEAD_PIXELS = 2**26
"""The same where an image alone exceeds `AHEAD_PIXELS`: it is decoded while another one is in the
network, unless both together exceed this."""
KEPT_NUMBERS = 3 * 2**25
"""Largest buffer, in floats, that is kept for the next batch."""
LARGE_PIXELS = KEPT_NUMBERS // 3
"""Larger images are reduced to the scoring size in strips: never are all of their pixels floats."""
WINDOW_BATCHES = 8
"""For how many batches' worth of files an image waits for others of its size."""

Size = tuple[int, int]
Pixels = NDArray[Any]
Key = TypeVar("Key")
Image = TypeVar("Image")
Value = TypeVar("Value")


def batch_pixels(device: str | torch.device) -> int:
    """Most pixels in a batch of more than one image on a device."""
    on_cpu = torch.device(device).type == "cpu"
    return min(BATCH_PIXELS, CPU_BATCH_PIXELS) if on_cpu else BATCH_PIXELS


def plan_batches(
    sizes: Iterable[Size], batch_size: int, max_pixels: int, window: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Decide which images go through the network together.

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


def decode_ahead(
    batches: Iterable[tuple[Sequence[Key], int]],
    decode: Callable[[Key], Image],
    workers: int,
) -> Iterator[list[tuple[Key, Image]]]:
    """Decode batches in order, in threads, within `AHEAD_PIXELS` and `AHEAD_BATCHES` of their use.

    A batch that alone exceeds the pixels is decoded while one other is in use, within
    `MOST_AHEAD_PIXELS`.

    Args:
        batches: What to decode together, and its pixels; read no further than is decoded.
        decode: Decodes one image; what it raises ends everything.
        workers: Threads; 0 decodes when a batch is asked for.

    Yields:
        Each batch: its keys, each with what was decoded.
    """
    if not workers:
        for keys, _ in batches:
            yield [(key, decode(key)) for key in keys]
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    queue: deque[tuple[list[tuple[Key, Future[Image]]], int]] = deque()
    ahead = 0
    try:
        for keys, size in batches:
            while queue and ahead + size > MOST_AHEAD_PIXELS:
                ahead -= queue[0][1]
                yield _take(queue)
            queue.append(([(key, pool.submit(decode, key)) for key in keys], size))
            ahead += size
            while len(queue) > 1 and (ahead > AHEAD_PIXELS or len(queue) > AHEAD_BATCHES):
                ahead -= queue[0][1]
                yield _take(queue)
        while queue:
            yield _take(queue)
    finally:
        pool.shutdown(cancel_futures=True)


def _take(
    queue: deque[tuple[list[tuple[Key, Future[Image]]], int]],
) -> list[tuple[Key, Image]]:
    """The queue's first batch, decoded; no reference to it stays behind."""
    futures, _ = queue.popleft()
    return [(key, future.result()) for key, future in futures]


def score_each(
    batch: Sequence[tuple[Key, Image | str]],
    forward: Callable[[Sequence[Image]], Sequence[Value] | str],
    batch_key: Callable[[Image], object],
) -> Iterator[tuple[Key, Value | str]]:
    """Score the images of a batch, so that a bad one costs only itself.

    Args:
        batch: Keys and images, or the reason why there is no image.
        forward: Images -> a value for each; or one reason for all of them, on which each is tried
            alone.
        batch_key: Only images for which this is equal go through together.

    Yields:
        Each key once, with its value or the reason why there is none.
    """
    groups: dict[object, list[tuple[Key, Image]]] = {}
    for key, image in batch:
        if isinstance(image, str):
            yield key, image
        else:  # an orientation may have turned some of a batch
            groups.setdefault(batch_key(image), []).append((key, image))
    for group in groups.values():
        values = forward([image for _, image in group])
        if not isinstance(values, str):
            yield from zip((key for key, _ in group), values, strict=True)
        elif len(group) == 1:
            yield group[0][0], values
        else:
            for key, image in group:
                alone = forward([image])
                yield key, alone if isinstance(alone, str) else alone[0]


class BatchBuffer:
    """Images of one size -> what a metric takes, (N, 3, H, W) float32 RGB, channels last.

    On a CPU each image is converted straight to its place in one buffer, which the next batch uses
    again: fresh memory for each batch costs several times what the conversion does.

    Args:
        device: Where the batches go; to any but the CPU, pixels go as bytes.
        side: Shorter side to which the metric reduces images. On a CPU those of more than
            `LARGE_PIXELS` are reduced here, exactly as there.
    """

    def __init__(self, device: str | torch.device, side: int = 0) -> None:
        self.device = torch.device(device)
        self.side = side
        self.buffer = torch.empty(0)

    def fill(self, group: Sequence[Pixels]) -> Float[Tensor, "n 3 h w"]:
        """A batch of (H, W, 3) images, bytes or floats; on a CPU valid until the next call."""
        scale = 255 if group[0].dtype == np.uint8 else 1
        if self.device.type != "cpu":
            return torch.from_numpy(np.stack(group)).to(self.device).permute(0, 3, 1, 2) / scale
        height, width, _ = group[0].shape
        if height * width > LARGE_PIXELS and self.side and min(height, width) > self.side:
            return torch.cat([reduced_in_strips(image, self.side, scale) for image in group])
        numbers = len(group) * group[0].size
        if self.buffer.numel() < numbers <= KEPT_NUMBERS:
            self.buffer = torch.empty(numbers)
        buffer = self.buffer if numbers <= KEPT_NUMBERS else torch.empty(numbers)
        batch = buffer[:numbers].view(len(group), *group[0].shape)
        for place, image in zip(batch.numpy(), group, strict=True):
            np.divide(image, np.float32(scale), out=place, dtype=np.float32)
        return batch.permute(0, 3, 1, 2)
