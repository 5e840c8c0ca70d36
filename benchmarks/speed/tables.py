"""Targets, ratios and tables of the speed benchmark.

A result is what `worker.measure` returns. Every figure is a ratio to the peer in the same run where
a target is set: seconds depend on the machine, ratios far less.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.formatting import markdown, number
from qualiclip_metric.distortions import DISTORTIONS

Result = dict[str, Any]

SIZES = ((224, 224), (512, 512), (800, 1080), (1536, 2048), (2160, 3840))
LARGEST = (4320, 7680)
LARGEST_MEGABYTES = 4000.0
LITE_SIZES = ((512, 512), (1080, 1920))
LITE_BATCHES = (1, 16)


@dataclass(frozen=True)
class Target:
    """What a configuration should reach against the peer.

    Args:
        ratios: The peer's seconds over ours, per size of `SIZES`; None where no target is set.
        memory: Our peak over the peer's at the largest size.
        deviation: Of the scores, from the peer's.
    """

    ratios: tuple[float | None, ...]
    memory: float
    deviation: float


TARGETS = {
    "torch fp32": Target((1.3, 1.5, 1.5, 2.2, 2.8), 1 / 2, 1e-5),
    "openvino fp32": Target((1.8, 1.9, 2.1, 3.5, 4.2), 1 / 2, 1e-4),
    "torch bf16, AMX": Target((4, 7.5, 8, 13, 14), 1 / 3, 5e-3),
    "openvino bf16, AMX": Target((6, 11, 12, 16, 18), 1 / 3, 5e-3),
    "torch bf16, AVX-512 BF16": Target((2, 3.3, None, 7, 7), 1 / 3, 5e-3),
    "openvino bf16, AVX-512 BF16": Target((3, 4, None, 9.5, 10), 1 / 3, 5e-3),
}
"""By configuration, bf16 by what multiplies it; without instructions for it no target is set."""
EXPONENT = 1.05
"""How seconds and memory may grow with the area, at most."""
CREATION = 1 / 2
"""Our seconds of creation over the peer's."""
IMPORT = 1 / 3
"""Seconds of `import qualiclip_metric` over those of `import pyiqa`."""


def seconds(results: Sequence[Result], size: Sequence[int]) -> list[float]:
    """The median call of each round at one size.

    Args:
        results: Rounds of one configuration.
        size: (height, width), one of those measured.

    Returns:
        Seconds per call, one figure per round.
    """
    rows = (row for result in results for row in result["rows"] if row["size"] == list(size))
    return [statistics.median(row["seconds"]) for row in rows]


def ratios(peer: Sequence[Result], ours: Sequence[Result], size: Sequence[int]) -> list[float]:
    """The peer's seconds over ours at one size.

    Args:
        peer: Rounds of the peer.
        ours: Rounds of our configuration, as many.
        size: (height, width), one of those measured.

    Returns:
        One ratio per round.
    """
    return [p / o for p, o in zip(seconds(peer, size), seconds(ours, size), strict=True)]


def peak(results: Sequence[Result]) -> float:
    """Megabytes at the largest size, median over the rounds."""
    return float(statistics.median(result["rows"][-1]["peak"] for result in results))


def deviation(peer: Sequence[Result], ours: Sequence[Result]) -> float:
    """Largest absolute difference of any score, over the pictures of all sizes and the photos.

    Args:
        peer: Rounds of the peer.
        ours: Rounds of our configuration.

    Returns:
        The difference in the first round.
    """

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

    Returns:
        The slope: 1 where the figure grows in proportion to the area; NaN for fewer than two sizes.
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
    """The word for a target that is reached, or missed."""
    return "pass" if reached else "SHORT"


def target(name: str, results: Sequence[Result]) -> Target | None:
    """What a configuration should reach with the instructions that it had; none for others' own.

    Args:
        name: Such as `torch bf16`.
        results: Its rounds.
    """
    return TARGETS.get(name) or TARGETS.get(f"{name}, {results[0]['bf16']}")


def ratio_table(results: Mapping[str, Sequence[Result]], peer: str = "peer") -> str:
    """The peer's seconds over ours, per configuration and size.

    Args:
        results: Configuration -> its rounds.
        peer: The configuration that the others are compared with.

    Returns:
        A Markdown table: median ratio, range over the rounds, target and verdict per cell.
    """
    sizes = [row["size"] for row in results[peer][0]["rows"]]
    header = ["peer / ours", *(f"{h}x{w}" for h, w in sizes), "peak memory", "largest deviation"]
    rows = [
        [name, *_ratio_cells(results[peer], ours, sizes, target(name, ours))]
        for name, ours in results.items()
        if name != peer
    ]
    return markdown(header, rows)


def _ratio_cells(
    peer: Sequence[Result],
    ours: Sequence[Result],
    sizes: Sequence[Sequence[int]],
    target: Target | None,
) -> list[str]:
    cells = []
    for size in sizes:
        found = ratios(peer, ours, size)
        median = statistics.median(found)
        cell = f"{median:.2f} ({min(found):.2f}-{max(found):.2f})"
        if target is not None and tuple(size) in SIZES:
            goal = target.ratios[SIZES.index((size[0], size[1]))]
            cell += "" if goal is None else f" of {goal:g}: {verdict(median >= goal)}"
        cells.append(cell)
    memory, difference = peak(ours) / peak(peer), deviation(peer, ours)
    cells += [f"{memory:.2f}", f"{difference:.1e}"]
    if target is not None:
        if list(sizes[-1]) == list(SIZES[-1]):
            cells[-2] += f" of {target.memory:.2f}: {verdict(memory <= target.memory)}"
        cells[-1] += f" of {target.deviation:g}: {verdict(difference < target.deviation)}"
    return cells


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
        slopes = (number(exponent(own, what)) for what in ("seconds", "memory"))
        rows.append([name, *cells, f"{peak(own):.0f}", f"{created:.2f}", f"{first:.2f}", *slopes])
    return markdown(header, rows)


def network_text(results: Mapping[str, Sequence[Result]]) -> str:
    """Both tables of the RN50 tower, and the targets of creation and growth."""
    lines = [ratio_table(results), seconds_table(results)]
    created = {n: statistics.median(r["created"] for r in found) for n, found in results.items()}
    share = created["torch fp32"] / created["peer"]
    lines.append(
        f"creation: {share:.2f} of the peer's, at most {CREATION:g}: {verdict(share <= CREATION)}"
    )
    for name in [name for name, own in results.items() if target(name, own)]:
        for what in ("seconds", "memory"):
            grown = exponent(results[name], what)
            lines.append(
                f"{name}: {what} grow with the area to the power of {grown:.3f}, "
                f"at most {EXPONENT}: {verdict(grown <= EXPONENT)}"
                if math.isfinite(grown)
                else f"{name}: {what} grow too little to tell how"
            )
    return "\n".join(lines)


def large_text(results: Mapping[str, Result]) -> str:
    """Seconds and megabytes of one 8K image, a line per configuration."""
    lines = []
    for name, result in results.items():
        row = result["rows"][0]
        lines.append(
            f"{LARGEST[1]}x{LARGEST[0]}, {name}: {row['seconds'][0]:.1f} s, {row['peak']:.0f} MB, "
            f"at most {LARGEST_MEGABYTES:.0f}: {verdict(row['peak'] <= LARGEST_MEGABYTES)}"
        )
    return "\n".join(lines)


def lite_text(results: Mapping[str, Sequence[Result]]) -> str:
    """Images per second of `lite`, a row per engine and precision."""
    header = ["lite, images per second",
              *(f"{h}x{w}, batch {b}" for b in LITE_BATCHES for h, w in LITE_SIZES)]  # fmt: skip
    names = dict.fromkeys(name.partition(" batch ")[0] for name in results)
    rows = [
        [
            name,
            *(
                f"{batch / statistics.median(seconds(results[f'{name} batch {batch}'], size)):.1f}"
                for batch in LITE_BATCHES
                for size in LITE_SIZES
            ),
        ]
        for name in names
    ]
    return markdown(header, rows)


def imports_text(found: Mapping[str, Any]) -> str:
    """Seconds of our import and of pyiqa's, an empty start taken off."""
    empty, ours, theirs = (
        statistics.median(found[name]) for name in ("pass", "qualiclip_metric", "pyiqa")
    )
    share, heavy = (ours - empty) / (theirs - empty), found["heavy"]
    return (
        f"import qualiclip_metric: {ours - empty:.3f} s, import pyiqa: {theirs - empty:.2f} s; "
        f"{share:.3f}, at most {IMPORT:.2f}: {verdict(share < IMPORT)}; "
        f"heavy modules imported: {', '.join(heavy) or 'none'}: {verdict(not heavy)}"
    )


def limit_text(found: Mapping[str, Mapping[str, float]]) -> str:
    """How near the RN50 tower at 512x512 comes to the machine's limit, a line per configuration."""
    return "\n".join(
        f"{name} at 512x512: {f['operations'] / 1e9:.1f} GFLOP at {f['rate'] / 1e9:.0f} "
        f"GFLOP/s, {f['rate'] / f['limit']:.0%} of {f['limit'] / 1e9:.0f} "
        f"(matrix {f['matrix'] / 1e9:.0f}, convolution {f['convolution'] / 1e9:.0f})"
        for name, f in found.items()
    )


def precision_text(found: Mapping[str, Any]) -> str:
    """Deviations of `lite` from torch fp32, a row per configuration."""
    header = ["lite against torch fp32", "largest, clean", "largest, degraded", "rms", "SRCC"]
    rows = [
        [name, *(f"{v[k]:.1e}" for k in ("clean", "degraded", "rms")), f"{v['srcc']:.5f}"]
        for name, v in found.items()
        if name != "photos"
    ]
    title = f"{found['photos']} photos, and the same at level 3 of {len(DISTORTIONS)} distortions"
    return f"{title}\n{markdown(header, rows)}"
