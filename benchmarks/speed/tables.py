"""Targets, ratios and tables of the speed benchmark. Knows results of workers; starts none.

A result is what `speed_worker.measure` returns. Every figure is a ratio to the peer in the same run
where a target is set: seconds depend on the machine, ratios far less.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.formatting import markdown

Result = dict[str, Any]

SIZES = ((224, 224), (512, 512), (800, 1080), (1536, 2048), (2160, 3840))


@dataclass(frozen=True)
class Target:
    """What a configuration should reach against the peer.

    Args:
        ratios: The peer's seconds over ours, per size of `SIZES`.
        memory: Our peak over the peer's at the largest size.
        deviation: Of the scores, from the peer's.
    """

    ratios: tuple[float, ...]
    memory: float
    deviation: float


TARGETS = {
    "torch fp32": Target((1.3, 1.5, 1.5, 2.2, 2.8), 1 / 2, 1e-5),
    "torch bf16": Target((4, 7, 8, 9, 10), 1 / 3, 5e-3),
    "openvino fp32": Target((1.8, 1.9, 2.1, 3.1, 3.8), 1 / 2, 1e-4),
    "openvino bf16": Target((6, 11, 12, 16, 18), 1 / 3, 5e-3),
}
EXPONENT = 1.05
"""How seconds and memory may grow with the area, at most."""
CREATION = 1 / 2
"""Our seconds of creation over the peer's."""
IMPORT = 1 / 3
"""Seconds of `import qualiclip_metric` over those of `import pyiqa`."""


def seconds(results: Sequence[Result], size: Sequence[int]) -> list[float]:
    """The median call of each round at one size."""
    rows = (row for result in results for row in result["rows"] if row["size"] == list(size))
    return [statistics.median(row["seconds"]) for row in rows]


def ratios(peer: Sequence[Result], ours: Sequence[Result], size: Sequence[int]) -> list[float]:
    """Peer over ours at one size, round by round."""
    return [p / o for p, o in zip(seconds(peer, size), seconds(ours, size), strict=True)]


def peak(results: Sequence[Result]) -> float:
    """Megabytes at the largest size, median over the rounds."""
    return float(statistics.median(result["rows"][-1]["peak"] for result in results))


def deviation(peer: Sequence[Result], ours: Sequence[Result]) -> float:
    """Largest difference of any score, over the pictures of all sizes and the photos."""

    def scores(results: Sequence[Result]) -> list[float]:
        return [*(row["score"] for row in results[0]["rows"]), *results[0]["photos"]]

    pairs = zip(scores(peer), scores(ours), strict=True)
    return max(abs(theirs - own) for theirs, own in pairs)


def exponent(results: Sequence[Result], what: str) -> float:
    """Slope of log(seconds or megabytes above the start) against log(area), least squares.

    Args:
        results: Rounds of one configuration.
        what: `seconds`, over all sizes; or `memory`, over the sizes whose peak is above that of the
            start by 5 %.
    """
    area, value = [], []
    for row in results[0]["rows"]:
        height, width = row["size"]
        base = results[0]["base"]
        if what == "seconds":
            value.append(statistics.median(seconds(results, row["size"])))
        elif row["peak"] > 1.05 * base:
            value.append(row["peak"] - base)
        else:
            continue
        area.append(height * width)
    if len(area) < 2:
        return math.nan
    return float(np.polyfit(np.log(area), np.log(value), 1)[0])


def verdict(reached: bool) -> str:
    """Pass or short."""
    return "pass" if reached else "SHORT"


def ratio_table(results: Mapping[str, Sequence[Result]], peer: str = "peer") -> str:
    """Median ratio, range over the rounds, target and verdict per cell."""
    sizes = [row["size"] for row in results[peer][0]["rows"]]
    header = ["peer / ours", *(f"{h}x{w}" for h, w in sizes), "peak memory", "largest deviation"]
    rows = []
    for name, ours in results.items():
        if name == peer:
            continue
        target = TARGETS.get(name)
        cells = []
        for size in sizes:
            found = ratios(results[peer], ours, size)
            median = statistics.median(found)
            cell = f"{median:.2f} ({min(found):.2f}-{max(found):.2f})"
            if target is not None and tuple(size) in SIZES:
                goal = target.ratios[SIZES.index((size[0], size[1]))]
                cell += f" of {goal:g}: {verdict(median >= goal)}"
            cells.append(cell)
        memory, moved = peak(ours) / peak(results[peer]), deviation(results[peer], ours)
        cells.append(f"{memory:.2f}")
        cells.append(f"{moved:.1e}")
        if target is not None:
            if list(sizes[-1]) == list(SIZES[-1]):
                cells[-2] += f" of {target.memory:.2f}: {verdict(memory <= target.memory)}"
            cells[-1] += f" of {target.deviation:g}: {verdict(moved < target.deviation)}"
        rows.append([name, *cells])
    return markdown(header, rows)


def seconds_table(results: Mapping[str, Sequence[Result]]) -> str:
    """Seconds per image, megabytes, seconds of creation and of the first call, exponents."""
    sizes = [row["size"] for row in next(iter(results.values()))[0]["rows"]]
    header = ["seconds", *(f"{h}x{w}" for h, w in sizes), "peak MB", "creation", "first call",
              "exponent of time", "of memory"]  # fmt: skip
    rows = []
    for name, own in results.items():
        cells = [f"{statistics.median(seconds(own, size)):.4g}" for size in sizes]
        created = statistics.median(result["created"] for result in own)
        first = statistics.median(result["rows"][0]["first"] for result in own)
        slopes = (f"{exponent(own, what):.3f}" for what in ("seconds", "memory"))
        rows.append([name, *cells, f"{peak(own):.0f}", f"{created:.2f}", f"{first:.2f}", *slopes])
    return markdown(header, rows)
