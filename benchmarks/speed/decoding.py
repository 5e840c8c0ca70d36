"""Images decoded per second, by one thread, by threads and by processes."""

import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from qualiclip_metric import images
from qualiclip_metric.scoring import batches as batching

__all__ = ["decoders", "decoding_text"]

Json = dict[str, Any]


def decoders(files: Sequence[Path], workers: int) -> Json:
    """Images decoded per second by one thread, by threads, and by processes that send pixels.

    The processes are started before the clock is.

    Args:
        files: Photos.
        workers: Threads, and processes.

    Returns:
        `images`, `workers`, and images per second as `one_thread`, `threads` and `processes`.
    """
    found: Json = {"images": len(files), "workers": workers}
    found["one_thread"] = _rate(lambda: sum(1 for _ in map(images.pixels, files)), len(files))
    batches = [([path], 0) for path in files]
    found["threads"] = _rate(
        lambda: sum(1 for _ in batching.decode_ahead(batches, images.pixels, workers)), len(files)
    )
    with get_context("spawn").Pool(workers) as pool:
        pool.map(images.size, files[: 4 * workers], chunksize=1)
        found["processes"] = _rate(
            lambda: sum(1 for _ in pool.imap(images.pixels, files, chunksize=4)), len(files)
        )
    return found


def decoding_text(found: Json) -> str:
    """What `decoders` found, as a line to print."""
    return (
        f"decoding alone: {found['one_thread']:.0f} images/s in one thread, "
        f"{found['threads']:.0f} in {found['workers']} threads, {found['processes']:.0f} in "
        f"{found['workers']} processes"
    )


def _rate(act: Callable[[], object], count: int) -> float:
    """Per second, the best of two."""
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return count / min(seconds)
