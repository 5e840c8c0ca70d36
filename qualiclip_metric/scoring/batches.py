"""Batches of images of one size: planned by their headers, decoded ahead, scored.

- Headers are read first: images of one size are put in a batch before anything is decoded, and the
  memory is bounded in pixels, not in files.
- Decoding is Pillow's C code, which releases Python's lock: threads start at once and send no
  pixels between processes, and so decode more images per second than processes do.
- If the metric fails on a batch, it is tried image by image.
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
"""Most pixels in a batch of several images: 16 images of 512x512."""
CPU_BATCH_PIXELS = 2**20
"""The same on a CPU: 4 images of 512x512. Larger batches do not fit its caches."""
AHEAD_PIXELS = 2 * BATCH_PIXELS
"""Pixels that are decoded or queued, besides the batch in the network and one more."""
AHEAD_BATCHES = 32
"""The same in batches: small images and unreadable files have few pixels or none."""
MOST_AHEAD_PIXELS = 2**26
"""Bound for an image that alone exceeds `AHEAD_PIXELS`: it is decoded while another one is in the
network, unless both together exceed this."""
KEPT_NUMBERS = 3 * 2**25
"""Largest buffer, in float32 numbers, that is kept for the next batch."""
LARGE_PIXELS = KEPT_NUMBERS // 3
"""Larger images are reduced to the scoring size in strips, so that only a strip is float32."""
WINDOW_BATCHES = 8
"""Batches of files that an image waits for others of its size."""

Size = tuple[int, int]
Pixels = NDArray[Any]
Key = TypeVar("Key")
Image = TypeVar("Image")
Value = TypeVar("Value")


def batch_pixels(device: str | torch.device) -> int:
    """Most pixels in a batch of more than one image on a device."""
    on_cpu = torch.device(device).type == "cpu"
    return CPU_BATCH_PIXELS if on_cpu else BATCH_PIXELS


def plan_batches(
    sizes: Iterable[Size], batch_size: int, max_pixels: int, window: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Group images of one (height, width): at most `batch_size`, and `max_pixels` if several.

    An image waits for others of its size while fewer than `window` images follow it. Yields the
    positions of the images of a batch, and the sum of their pixels; each position occurs once.
    """
    waiting: dict[Size, list[int]] = {}  # insertion order: the oldest group first

    def planned(size: Size) -> tuple[tuple[int, ...], int]:
        group = waiting.pop(size)
        return tuple(group), len(group) * math.prod(size)

    for position, size in enumerate(sizes):
        waiting.setdefault(size, []).append(position)
        if len(waiting[size]) >= min(batch_size, max_pixels // max(1, math.prod(size))):
            yield planned(size)
        oldest = next(iter(waiting), None)
        if oldest is not None and position - waiting[oldest][0] >= window:
            yield planned(oldest)
    while waiting:
        yield planned(next(iter(waiting)))


def decode_ahead(
    batches: Iterable[tuple[Sequence[Key], int]],
    decode: Callable[[Key], Image],
    workers: int,
) -> Iterator[list[tuple[Key, Image]]]:
    """Decode batches in threads, ahead of their use, in order.

    At most `AHEAD_PIXELS` and `AHEAD_BATCHES` are decoded ahead; a larger batch is decoded while
    one other is in use, within `MOST_AHEAD_PIXELS`. Each batch comes as its keys and the sum of its
    pixels. With 0 workers it is decoded when it is needed. Exceptions of `decode` are raised here.
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
                yield _first_decoded(queue)
            queue.append(([(key, pool.submit(decode, key)) for key in keys], size))
            ahead += size
            while len(queue) > 1 and (ahead > AHEAD_PIXELS or len(queue) > AHEAD_BATCHES):
                ahead -= queue[0][1]
                yield _first_decoded(queue)
        while queue:
            yield _first_decoded(queue)
    finally:
        pool.shutdown(cancel_futures=True)


def _first_decoded(
    queue: deque[tuple[list[tuple[Key, Future[Image]]], int]],
) -> list[tuple[Key, Image]]:
    """Remove the first batch from the queue, so that no reference to its pixels stays."""
    futures, _ = queue.popleft()
    return [(key, future.result()) for key, future in futures]


def score_each(
    batch: Sequence[tuple[Key, Image | str]],
    forward: Callable[[Sequence[Image]], Sequence[Value] | str],
    batch_key: Callable[[Image], object],
) -> Iterator[tuple[Key, Value | str]]:
    """Score the images of a batch that have one `batch_key`; on failure, retry image by image.

    An image may be an error message, and so may a value; `forward` gives a value for each image, or
    one error message for all. Yields each key once, with its value.
    """
    groups: dict[object, list[tuple[Key, Image]]] = {}
    for key, image in batch:
        if isinstance(image, str):
            yield key, image
        else:  # the EXIF orientation may have turned some of them
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
    """Converts images of one size to the metric's input, (N, 3, H, W) float32 RGB, channels last.

    On a CPU one buffer serves all batches, because allocating memory takes several times as long as
    the conversion; images of more than `LARGE_PIXELS` are reduced here to the shorter side to which
    the metric would reduce them. Pixels are sent to a GPU as bytes.
    """

    def __init__(self, device: str | torch.device, side: int = 0) -> None:
        self.device = torch.device(device)
        self.side = side
        self.buffer = torch.empty(0)

    def fill(self, group: Sequence[Pixels]) -> Float[Tensor, "n 3 h w"]:
        """Convert (H, W, 3) images, uint8 or float32; on a CPU valid until the next call."""
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
        batch = buffer[:numbers].view(len(group), *group[0].shape)  # (N, H, W, 3)
        for place, image in zip(batch.numpy(), group, strict=True):
            np.divide(image, np.float32(scale), out=place, dtype=np.float32)
        return batch.permute(0, 3, 1, 2)
