"""Many image files -> many scores, in the order of the files, a failure being a row of its own."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from qualiclip_metric import decoding
from qualiclip_metric.scoring.items import Metric, Options, score_items
from qualiclip_metric.streaming.items import Item
from qualiclip_metric.streaming.rows import Row


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
    options = Options(
        batch_size, workers, background, max_pixels, allow_truncated, timeout, diagnose
    )
    files = [Path(path) for path in paths]
    counts = Counter(files)
    items = [Item(str(path), path) for path in counts]
    rows = score_items(metric, items, options, device=device, progress=progress)
    return _repeated(files, counts, _results(counts, rows))


def _results(
    files: Iterable[Path], rows: Generator[Row, None, None]
) -> Generator[Result, None, None]:
    """Rows of distinct files as results, also those that come out of order at an interruption."""
    known = {str(path): path for path in files}
    try:
        for row in rows:
            yield Result(known[row.key], row.score, row.error, row.faults)
    finally:
        rows.close()


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
