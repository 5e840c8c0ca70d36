"""Items -> rows: images are listed, fetched, decoded in threads, and scored in batches.

    items -> fetch_urls -> in_background -> plan_batches -> decode_ahead -> score_each -> rows

Each arrow is an iterator or a bounded queue: all stages run at the same time, and memory does not
grow with the number of images.
"""

import math
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from qualiclip_metric.files import first_line
from qualiclip_metric.input_check import MIN_SIZE
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
from qualiclip_metric.scoring.columns import Row, pair_columns
from qualiclip_metric.scoring.options import ScoreOptions
from qualiclip_metric.scoring.reader import Image, Reader
from qualiclip_metric.sources.item import Item, Url, fetch_urls
from qualiclip_metric.statistics import statistics_of_pixels

POLL_SECONDS = 0.2
_JOIN_SECONDS = 1.0

Metric = Callable[[Tensor], Tensor]
Measure = Callable[[Image, Pixels], Any]
T = TypeVar("T")


class WorkerError(RuntimeError):
    """A process that scores could not start, or ended before its work did."""


def score_files(
    metric: Metric,
    paths: Iterable[str | Path],
    *,
    device: str | torch.device | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Iterator[Row]:
    """Score image files as `score_items` does; `options` are fields of `ScoreOptions`.

    Yields one row per path, in their order.

    Example:
        >>> from qualiclip_metric import create
        >>> for row in score_files(create("lite"), ["photo.jpg", "missing.jpg"]):
        ...     print(row.path, row.score is not None, row.error)
        photo.jpg True None
        missing.jpg False ...
    """
    items = (Item(str(path), Path(path)) for path in paths)
    return score_items(metric, items, ScoreOptions(**options), device=device, progress=progress)


def score_items(
    metric: Metric,
    items: Iterable[Item],
    options: ScoreOptions | None = None,
    *,
    device: str | torch.device | None = None,
    progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    measure: Measure | None = None,
) -> Generator[Row, None, None]:
    """Score images as they are found; an image that fails gives a row with an error.

    Args:
        metric: (N, 3, H, W) RGB in [0, 1] -> N scores of any shape; a score must not depend on the
            other images. If it fails on a batch, each image is scored alone. On a CPU the next
            batch overwrites the input: clone what you keep of it.
        items: Images in files, in memory, or behind URLs. A thread iterates over them, no further
            ahead than batches need.
        options: How images are decoded and batched.
        device: Where the metric computes; by default its `device` attribute, or the CPU.
        progress: Called with the number of images done so far.
        stopped: Asked after each batch and while no item comes; if true, no further batch is
            scored.
        measure: Called with each image and its pixels as they are scored, in the decoding threads;
            the result becomes `Row.measured`.

    Yields:
        One row per item, in their order. When stopped or interrupted (KeyboardInterrupt,
        SystemExit), also the finished rows of later items, at the end.

    Raises:
        ValueError: If a diagnosis or pairs are asked of a metric that has none, or the reference is
            of another signature.
    """
    options = options or ScoreOptions()
    if options.reference is not None:
        signature = getattr(metric, "signature", None)
        options.reference.check(str(signature and signature.of_files(options.colour)))
    if device is None:
        device = getattr(metric, "device", "cpu")
    job = _Job(metric, options, device, stopped, measure)
    return job.rows(items, progress or (lambda _done: None))


def names_of(metric: Any, options: ScoreOptions) -> tuple[Sequence[str], Sequence[str]]:
    """Names of the faults and of the pairs' columns asked for; ValueError if there are none."""
    faults: Sequence[str] = ()
    pairs: Sequence[str] = ()
    if options.diagnose:
        if not getattr(metric, "faults", ()):
            raise ValueError("this model has no diagnosis; lite has one")
        faults = ("none", *metric.faults)
    if options.pairs:
        if not hasattr(metric, "probabilities"):
            raise ValueError("this metric has no antonym pairs; a QualiCLIP has")
        pairs = pair_columns(metric.pairs, len(metric.prompts))
    return faults, pairs


@dataclass
class _Found:
    """An image that has no row yet: its size, and results computed from its pixels."""

    item: Item
    size: Size  # by the header; once decoded, of the upright image
    checks: dict[str, float] = field(default_factory=dict)
    measured: Any = None


class _Job:
    """The state of a run: the images that have no row yet, by their position."""

    def __init__(
        self,
        metric: Any,
        options: ScoreOptions,
        device: str | torch.device,
        stopped: Callable[[], bool],
        measure: Measure | None,
    ) -> None:
        self.metric, self.options, self.device = metric, options, device
        self.faults, self.pairs = names_of(metric, options)
        self.stopped, self.measure = stopped, measure
        side: int = getattr(metric, "scoring_size", 0)
        self.reader = Reader(options, side)
        self.buffer = BatchBuffer(device, side)
        self.found: dict[int, _Found] = {}

    def rows(
        self, items: Iterable[Item], progress: Callable[[int], None]
    ) -> Generator[Row, None, None]:
        """Run; `score_items` documents it."""
        size = self.options.batch_size
        listing = in_background(map(self._with_size, fetch_urls(items)), size, self.stopped)
        window = WINDOW_BATCHES * size
        batches = plan_batches(self._sizes(listing), size, batch_pixels(self.device), window)
        early: dict[int, Row] = {}  # done before a row that comes earlier
        done, ready = 0, 0
        try:
            for batch in decode_ahead(batches, self._decode, self.options.threads):
                for index, value in score_each(batch, self._forward, _batch_key):
                    early[index] = self._row(self.found.pop(index), value)
                    done += 1
                del batch  # free its pixels before the next batch is decoded
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

    def _with_size(self, item: Item) -> _Found:
        assert not isinstance(item.image, Url), item
        return _Found(item, (0, 0) if item.image is None else self.reader.size(item.image))

    def _sizes(self, listing: Iterator[_Found]) -> Iterator[Size]:
        for index, found in enumerate(listing):
            self.found[index] = found
            yield found.size

    def _decode(self, index: int) -> Pixels | str:
        found = self.found[index]
        image = found.item.image
        if image is None or isinstance(image, Url):
            return found.item.error or "there is no image"
        pixels = self.reader.pixels(image)
        if not isinstance(pixels, str):
            if self.options.checks:
                found.checks = self._statistics(image, pixels, found.size)
            found.size = _upright(found.size, pixels)
            if self.measure is not None:
                found.measured = self.measure(image, pixels)
        found.item = replace(found.item, image=None)  # free an encoded image
        return pixels

    def _statistics(self, image: Image, pixels: Pixels, stored: Size) -> dict[str, float]:
        """Statistics of all pixels of an image; none of one that is too small to be scored."""
        if 2 * math.prod(pixels.shape[:2]) < math.prod(stored):
            # the decoder reduced it for this model's size; sharpness, noise and blockiness need
            # the image's own pixels
            whole = self.reader.pixels(image, whole=True)
            if isinstance(whole, str):
                return {}
            pixels = whole
        return statistics_of_pixels(pixels) if min(pixels.shape[:2]) >= MIN_SIZE else {}

    def _row(self, found: _Found, values: list[float] | str) -> Row:
        height, width = (side or None for side in found.size)
        row = Row(found.item.key, None, None, width, height, columns=found.item.columns,
                  checks=found.checks, measured=found.measured)  # fmt: skip
        if isinstance(values, str):
            return replace(row, error=values)
        score, rest = values[0], iter(values[1:])  # faults first, then pairs
        return replace(
            row,
            score=score,
            faults={name: next(rest) for name in self.faults},
            pairs={name: next(rest) for name in self.pairs},
            percentile=self.options.percentile(score),
            keep=self.options.keeps(score),
        )

    def _forward(self, group: Sequence[Pixels]) -> list[list[float] | str] | str:
        """Score images of one shape: numbers or an error for each, or one error for all."""
        try:
            batch = self.buffer.fill(group)
            with torch.inference_mode():
                rows = self._values(batch).double().tolist()
        except (ValueError, RuntimeError, MemoryError) as err:
            return first_line(err)
        if len(rows) != len(group):
            return f"the metric gave {len(rows)} scores for {len(group)} images"
        return [
            row if math.isfinite(row[0]) else f"the metric gave {row[0]}, no finite score"
            for row in rows
        ]

    def _values(self, batch: Tensor) -> Tensor:
        """Scores, faults and pairs: (N, 1 + faults + pairs)."""
        if self.faults:
            pairs, faults = self.metric.probabilities_and_diagnosis(batch)
        elif self.pairs:
            pairs = self.metric.probabilities(batch)  # (N, pairs)
            faults = pairs[:, :0]
        else:
            scores: Tensor = self.metric(batch)
            return scores.reshape(-1, 1)
        score = pairs.mean(dim=1, keepdim=True)
        return torch.cat([score, faults, pairs if self.pairs else pairs[:, :0]], dim=1)


def _upright(stored: Size, pixels: Pixels) -> Size:
    """Height and width of the upright image, which may have been decoded at a smaller size.

    `stored` is the size in the header, before orientation; `pixels` are upright, (H, W, 3).
    """
    height, width = pixels.shape[:2]
    turned = (stored[1], stored[0])
    if (height, width) in (stored, turned) or not all(stored):
        return height, width
    # reduced while decoded: the orientation whose aspect ratio is nearer
    as_stored, as_turned = (abs(height * w - width * h) for h, w in (stored, turned))
    return turned if as_turned < as_stored else stored


def _batch_key(image: Pixels) -> object:
    return image.shape, image.dtype


def in_background(
    values: Iterable[T], ahead: int, stopped: Callable[[], bool] = lambda: False
) -> Generator[T, None, None]:
    """Iterate in a thread, at most `ahead` values before their use; its exceptions are raised here.

    While the source gives no value, `stopped` is asked; if it is true, the iteration ends.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
    closed = threading.Event()

    def put(kind: str, value: Any = None) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, value), timeout=POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            if all(put("value", value) for value in values):
                put("end")
        except BaseException as err:
            put("error", err)
        finally:
            if isinstance(values, Generator):
                values.close()

    thread = threading.Thread(target=work, name="listing", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, value = ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if stopped():
                    return
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join(_JOIN_SECONDS)  # not longer: it may be waiting for standard input
