"""Resident memory of `qualiclip score` for few and for many images."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

SIDE = 32
"""Of the one photo that all paths lead to, px: the smallest that is scored."""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Memory:
    """What one command took.

    Args:
        paths: How many images it scored.
        largest: Its largest resident size, MiB; loading the model takes much for a moment.
        last: Its resident size shortly before it ended, MiB; NaN where there is no `/proc`.
        seconds: How long it took.
    """

    paths: int
    largest: float
    last: float
    seconds: float


def measure(counts: Sequence[int], out: str = "scores.csv") -> list[Memory]:
    """Run `qualiclip score` on folders of symbolic links to one photo.

    Args:
        counts: How many links, for each run.
        out: Name of the results, as `--out` takes it.

    Returns:
        Figures for each count.

    Raises:
        ValueError: When a command fails.
    """
    return [_run(count, out) for count in counts]


def _run(count: int, out: str) -> Memory:
    with tempfile.TemporaryDirectory() as scratch:
        photo, links = Path(scratch, "photo.png"), Path(scratch, "links")
        Image.radial_gradient("L").resize((SIDE, SIDE)).convert("RGB").save(photo)
        links.mkdir()
        for number in range(count):
            (links / f"{number:07}.png").symlink_to(photo)
        words = ["-m", "qualiclip_metric", "score", str(links), "--out", f"{scratch}/{out}"]
        began = time.perf_counter()
        process = os.posix_spawn(sys.executable, [sys.executable, *words], os.environ)
        last, done = float("nan"), 0
        while not done:
            time.sleep(POLL_SECONDS)
            last = _resident(process) or last
            done, status, usage = os.wait4(process, os.WNOHANG)
        seconds = time.perf_counter() - began
    if code := os.waitstatus_to_exitcode(status):
        raise ValueError(f"qualiclip score of {count} paths ended with {code}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KB elsewhere
    return Memory(count, usage.ru_maxrss / unit, last, seconds)


def _resident(process: int) -> float:
    """MiB that a process has in memory; 0 where that cannot be told."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def text(figures: Sequence[Memory]) -> str:
    """Lines to print: a figure a line, then the ratio of the last to the first.

    Args:
        figures: Of `measure`.
    """
    lines = [
        f"{one.paths:>9,} paths: {one.largest:.0f} MiB resident at most, {one.last:.0f} MiB at the "
        f"end, {one.seconds:.0f} s, {one.paths / one.seconds:.0f} images/s"
        for one in figures
    ]
    first, last = figures[0], figures[-1]
    ratios = f"{last.largest / first.largest:.3f} at most, {last.last / first.last:.3f} at the end"
    return "\n".join([*lines, f"ratio of the last line to the first: {ratios}"])
