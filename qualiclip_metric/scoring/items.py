"""Images wherever they lie -> rows, as they are found; decoding and scoring overlap."""

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric import decoding
from qualiclip_metric.scoring.batches import (
    WINDOW_BATCHES,
    BatchBuffer,
    Pixels,
    Size,
    batch_pixels,
    decode_ahead,
    plan_batches,
    score_each,
)
from qualiclip_metric.scoring.reader import Reader
from qualiclip_metric.streaming.items import Item, Url, fetched, in_background
from qualiclip_metric.streaming.rows import Row

Metric = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Options:
    """How images are scored.

    Args:
        batch_size: Most images in a batch. Only images of one size share a batch, and at most
            `batch_pixels` together.
        workers: Decoding threads; as many as cores, 8 at most, unless told.
        background: RGB in 0..255 under transparent pixels.
        max_pixels: A file whose header promises more is an error, and is not decoded.
        allow_truncated: Whether a file that ends too early is scored, grey where data is missing.
        timeout: Seconds that reading and decoding one file may take; then it is an error. Decoding
            is done in processes that can be ended, from which the pixels have to come back.
        diagnose: Whether `Row.faults` is filled; the metric is a `QualiCLIP` with a diagnosis.
        pairs: Whether `Row.pairs` is filled; the metric is a `QualiCLIP`.

    Raises:
        ValueError: When batch_size, workers or max_pixels is below 1, or timeout is not above 0.
    """

    batch_size: int = 16
    workers: int | None = None
    background: decoding.RGB = decoding.WHITE
    max_pixels: int = decoding.MAX_PIXELS
    allow_truncated: bool = False
    timeout: float | None = None
    diagnose: bool = False
    pairs: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.threads < 1:
            raise ValueError(
                f"expected batch_size and workers of at least 1, got {self.batch_size} and "
                f"{self.workers}"
            )
        if self.max_pixels < 1 or (self.timeout is not None and not self.timeout > 0):
            raise ValueError(
                f"expected max_pixels of at least 1 and a timeout above 0, got {self.max_pixels}, "
                f"{self.timeout}"
            )

    @property
    def threads(self) -> int:
        """Decoding threads."""
        return min(8, os.cpu_count() or 1) if self.workers is None else self.workers


def names_of_faults(metric: Metric) -> tuple[str, ...]:
    """What a diagnosis tells apart, `none` first.

    Args:
        metric: A `QualiCLIP`, or any other metric.

    Raises:
        ValueError: When the metric has no diagnosis.
    """
    faults: tuple[str, ...] = getattr(metric, "faults", ())
    if not faults:
        raise ValueError("this model has no diagnosis; lite has one")
    return ("none", *faults)


def score_items(
    metric: Metric,
    items: Iterable[Item],
    options: Options | None = None,
    *,
    device: str | torch.device | None = None,
    progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Row, None, None]:
    """Score images as they are found. One that fails costs its own row and no other.

    Args:
        metric: (N, 3, H, W) RGB in [0, 1] -> N scores of any shape, one per image whatever the
            batch. A batch that it cannot take (out of memory, say) is tried image by image. On a
            CPU the batch's memory is used again for the next one: what is kept must be cloned.
        items: Images in files, in memory, or behind URLs. They are gone through in a thread, no
            further ahead than batches need.
        options: How.
        device: Where the metric computes; its `device` attribute, or the CPU, unless told. Pixels
            go there as bytes.
        progress: Called with the number of images done so far.
        stopped: Asked after each batch, and while nothing is found; where it says so, no further
            batch is scored.

    Yields:
        One row per item, in their order, as soon as it and all before it are done. When stopped or
        interrupted (KeyboardInterrupt, SystemExit) at last what is done out of order.

    Raises:
        ValueError: When a diagnosis or pairs are asked of a metric that has none.
    """
    options = options or Options()
    faults = names_of_faults(metric) if options.diagnose else ()
    if options.pairs and not hasattr(metric, "probabilities"):
        raise ValueError("this metric has no antonym pairs; a QualiCLIP has")
    if device is None:
        device = getattr(metric, "device", "cpu")
    job = _Job(metric, options, device, faults, stopped)
    return job.rows(items, progress or (lambda _done: None))


class _Job:
    """Images on their way: found, in a batch, decoded, scored early; all of these are bounded."""

    def __init__(
        self,
        metric: Metric,
        options: Options,
        device: str | torch.device,
        faults: Sequence[str],
        stopped: Callable[[], bool],
    ) -> None:
        self.metric, self.options, self.device = metric, options, device
        self.faults, self.stopped = faults, stopped
        side: int = getattr(metric, "scoring_size", 0)
        self.reader = Reader(
            options.background, options.max_pixels, options.allow_truncated, options.timeout, side
        )
        self.buffer = BatchBuffer(device, side)
        self.found: dict[int, tuple[Item, Size]] = {}

    def rows(
        self, items: Iterable[Item], progress: Callable[[int], None]
    ) -> Generator[Row, None, None]:
        """What `score_items` yields."""
        size = self.options.batch_size
        sized = ((item, self._size(item)) for item in fetched(items))
        listing = in_background(sized, size, self.stopped)
        window = WINDOW_BATCHES * size
        batches = plan_batches(self._sizes(listing), size, batch_pixels(self.device), window)
        early: dict[int, Row] = {}
        done, ready = 0, 0
        try:
            for batch in decode_ahead(batches, self._decode, self.options.threads):
                for index, value in score_each(batch, self._forward, _batch_key):
                    early[index] = self._row(*self.found.pop(index), value)
                    done += 1
                del batch  # not to be kept while the next, perhaps as large, is decoded
                progress(done)
                while ready in early:
                    yield early.pop(ready)
                    ready += 1
                if self.stopped():
                    break
            yield from (early[index] for index in sorted(early))
        except (KeyboardInterrupt, SystemExit):
            yield from (early[index] for index in sorted(early))
            raise
        finally:
            listing.close()
            self.reader.close()

    def _size(self, item: Item) -> Size:
        assert not isinstance(item.image, Url), item
        return (0, 0) if item.image is None else self.reader.size(item.image)

    def _sizes(self, listing: Iterator[tuple[Item, Size]]) -> Iterator[Size]:
        for index, (item, size) in enumerate(listing):
            self.found[index] = item, size
            yield size

    def _decode(self, index: int) -> Pixels | str:
        item, size = self.found[index]
        if item.image is None or isinstance(item.image, Url):
            return item.error or "there is no image"
        pixels = self.reader.pixels(item.image)
        if not isinstance(pixels, str):
            size = _upright(size, pixels)
        self.found[index] = replace(item, image=None), size  # its content is not needed any more
        return pixels

    def _row(self, item: Item, size: Size, value: list[float] | str) -> Row:
        height, width = (one or None for one in size)
        known: dict[str, Any] = {"width": width, "height": height, "columns": item.columns}
        if isinstance(value, str):
            return Row(item.key, error=value, **known)
        pairs = tuple(value[1 + len(self.faults) :])
        faults = dict(zip(self.faults, value[1:], strict=False))
        return Row(item.key, value[0], pairs=pairs, faults=faults, **known)

    def _forward(self, group: Sequence[Pixels]) -> list[list[float] | str] | str:
        """Of images of one shape: score, faults and pairs, or an error; or one error for all."""
        try:
            batch = self.buffer.fill(group)
            with torch.inference_mode():
                rows = self._values(batch).double().tolist()
        except (ValueError, RuntimeError, MemoryError) as err:
            return (str(err).strip().splitlines() or [type(err).__name__])[0]
        if len(rows) != len(group):
            return f"the metric gave {len(rows)} scores for {len(group)} images"
        return [
            row if math.isfinite(row[0]) else f"the metric gave {row[0]}, no finite score"
            for row in rows
        ]

    def _values(self, batch: Tensor) -> Tensor:
        """(N, 1 + faults + pairs) numbers."""
        metric: Any = self.metric
        parts: list[Tensor] = []
        if self.options.diagnose:
            parts += metric.score_and_diagnose(batch)
        if self.options.pairs:
            pairs = metric.probabilities(batch)
            parts = [*(parts or [pairs.mean(dim=1, keepdim=True)]), pairs]
        return torch.cat(parts, dim=1) if parts else metric(batch).reshape(-1, 1)


def _upright(stored: Size, pixels: Pixels) -> Size:
    """Height and width of the upright image, which may have been decoded at a share of its size.

    Args:
        stored: Height and width by the header, before orientation.
        pixels: The decoded image, upright.
    """
    height, width = pixels.shape[:2]
    turned = (stored[1], stored[0])
    if (height, width) in (stored, turned) or not all(stored):
        return height, width
    as_stored, as_turned = (abs(height * w - width * h) for h, w in (stored, turned))
    return turned if as_turned < as_stored else stored


def _batch_key(image: Pixels) -> object:
    return image.shape, image.dtype
