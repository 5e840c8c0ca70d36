"""Many image files -> many scores, in the order of the files, a failure being a row of its own."""

import math
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric import decoding
from qualiclip_metric.scoring.batches import (
    WINDOW_BATCHES,
    BatchBuffer,
    Pixels,
    batch_pixels,
    decode_ahead,
    plan_batches,
    score_each,
)
from qualiclip_metric.scoring.reader import Reader

Metric = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Result:
    """What came of one image: a score, or the reason why there is none.

    Args:
        path: The file, as it was given.
        score: What the metric says, finite; None on failure.
        error: One line on what went wrong; None on success.
        faults: Fault -> probability, `none` first, as `QualiCLIP.diagnose` gives them; empty where
            no diagnosis was asked for.
    """

    path: Path
    score: float | None = None
    error: str | None = None
    faults: Mapping[str, float] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """The likeliest of `faults`."""
        return max(self.faults, key=self.faults.__getitem__) if self.faults else None


def score_files(
    metric: Metric,
    paths: Iterable[str | Path],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    background: decoding.RGB = decoding.WHITE,
    max_pixels: int = decoding.MAX_PIXELS,
    allow_truncated: bool = False,
    timeout: float | None = None,
    device: str | torch.device | None = None,
    diagnose: bool = False,
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
        max_pixels: A file whose header promises more is an error, and is not decoded.
        allow_truncated: Whether a file that ends too early is scored, grey where data is missing.
        timeout: Seconds that reading and decoding one file may take; then it is an error. Decoding
            is done in processes that can be ended, from which the pixels have to come back.
        device: Where the metric computes; its `device` attribute, or the CPU, unless told. Pixels
            go there as bytes.
        diagnose: Whether `Result.faults` is filled; the metric is a `QualiCLIP` with a diagnosis.
        progress: Called with the number of images done so far.

    Yields:
        One result per path, in the order of the paths, as soon as it and all before it are done.
        When interrupted (KeyboardInterrupt, SystemExit), first what is done out of order, then
        the exception. A path that occurs several times is scored once.

    Raises:
        ValueError: When batch_size, workers or max_pixels is below 1, timeout is not above 0, or a
            diagnosis is asked of a metric that has none.

    Example:
        >>> from qualiclip_metric import create
        >>> for result in score_files(create("lite"), ["photo.jpg", "missing.jpg"]):
        ...     print(result.path, result.score is not None, result.error)
        photo.jpg True None
        missing.jpg False ...
    """
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    if batch_size < 1 or workers < 1:
        raise ValueError(
            f"expected batch_size and workers of at least 1, got {batch_size} and {workers}"
        )
    if max_pixels < 1 or (timeout is not None and not timeout > 0):
        raise ValueError(
            f"expected max_pixels of at least 1 and a timeout above 0, got {max_pixels}, {timeout}"
        )
    faults: tuple[str, ...] = ("none", *getattr(metric, "faults", ())) if diagnose else ()
    if len(faults) == 1:
        raise ValueError("this model has no diagnosis; lite has one")
    if device is None:
        device = getattr(metric, "device", "cpu")
    files = [Path(path) for path in paths]
    counts = Counter(files)
    side: int = getattr(metric, "scoring_size", 0)
    reader = Reader(background, max_pixels, allow_truncated, timeout, side)
    results = _scored(metric, list(counts), batch_size, workers, reader, device, faults, progress)
    return _repeated(files, counts, results)


def _repeated(
    files: Iterable[Path], counts: Mapping[Path, int], results: Generator[Result, None, None]
) -> Iterator[Result]:
    """Results of distinct files, in the order of their first occurrence -> one for each file."""
    known: dict[Path, Result] = {}
    try:
        for path in files:
            result = known.get(path) or next(results)
            if counts[result.path] > 1:
                known[result.path] = result
            yield result
    finally:
        results.close()


def _scored(
    metric: Metric,
    files: Sequence[Path],
    batch_size: int,
    workers: int,
    reader: Reader,
    device: str | torch.device,
    faults: Sequence[str],
    progress: Callable[[int], None] | None,
) -> Generator[Result, None, None]:
    window = WINDOW_BATCHES * batch_size
    batches = plan_batches(map(reader.size, files), batch_size, batch_pixels(device), window)
    buffer = BatchBuffer(device)

    def decode(index: int) -> Pixels | str:
        return reader.pixels(files[index])

    def forward(group: Sequence[Pixels]) -> list[list[float] | str] | str:
        return _forward(metric, group, buffer, bool(faults))

    early: dict[int, Result] = {}
    done, ready = 0, 0
    try:
        for batch in decode_ahead(batches, decode, workers):
            for index, value in score_each(batch, forward, _batch_key):
                early[index] = _result(files[index], value, faults)
                done += 1
            del batch  # not to be kept while the next, perhaps as large, is decoded
            if progress is not None:
                progress(done)
            while ready in early:
                yield early.pop(ready)
                ready += 1
    except (KeyboardInterrupt, SystemExit):
        yield from (early[index] for index in sorted(early))
        raise
    finally:
        reader.close()


def _result(path: Path, value: list[float] | str, faults: Sequence[str]) -> Result:
    if isinstance(value, str):
        return Result(path, error=value)
    return Result(path, score=value[0], faults=dict(zip(faults, value[1:], strict=True)))


def _batch_key(image: Pixels) -> object:
    return image.shape, image.dtype


def _forward(
    metric: Any, group: Sequence[Pixels], buffer: BatchBuffer, diagnose: bool
) -> list[list[float] | str] | str:
    """Of images of one shape: score and faults, or an error; or one error for all of them."""
    try:
        batch = buffer.fill(group)
        with torch.inference_mode():
            if diagnose:
                rows = torch.cat(metric.score_and_diagnose(batch), dim=1).double().tolist()
            else:
                rows = [[score] for score in metric(batch).double().flatten().tolist()]
    except (ValueError, RuntimeError, MemoryError) as err:
        return (str(err).strip().splitlines() or [type(err).__name__])[0]
    if len(rows) != len(group):
        return f"the metric gave {len(rows)} scores for {len(group)} images"
    return [
        row if math.isfinite(row[0]) else f"the metric gave {row[0]}, no finite score"
        for row in rows
    ]
