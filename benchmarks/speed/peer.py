"""The RN50 tower against pyiqa's own QualiCLIP on the same checkpoint, with targets; `lite` alone.

Seconds depend on the machine; the ratio to the peer of the same run depends on it far less, so
that the targets are ratios.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.formatting import markdown, number
from benchmarks.speed.scorer_process import ONNX, PEER, ScorerTiming, SpeedTask, run_task

__all__ = ["compare_with_peer", "lite_table", "ratio_table", "seconds_table", "time_lite"]

SIZES = ((224, 224), (512, 512), (800, 1080), (1536, 2048), (2160, 3840))
LITE_SIZES = ((512, 512), (1080, 1920))
LITE_BATCHES = (1, 16)
PRECISIONS = ("fp32", "bf16")

Rounds = Sequence[ScorerTiming]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """Aim of a configuration against the peer."""

    # the peer's seconds over ours, per size of `SIZES`; None where no target is set
    ratios: tuple[float | None, ...]
    memory: float  # our peak over the peer's at the largest size
    deviation: float  # largest difference of a score from the peer's


TARGETS = {
    "torch fp32": Target((1.3, 1.5, 1.5, 2.2, 2.8), 1 / 2, 1e-5),
    "openvino fp32": Target((1.8, 1.9, 2.1, 3.5, 4.2), 1 / 2, 1e-4),
    "torch bf16, AMX": Target((4, 7.5, 8, 13, 14), 1 / 3, 5e-3),
    "openvino bf16, AMX": Target((6, 11, 12, 16, 18), 1 / 3, 5e-3),
    "torch bf16, AVX-512 BF16": Target((2, 3.3, None, 7, 7), 1 / 3, 5e-3),
    "openvino bf16, AVX-512 BF16": Target((3, 4, None, 9.5, 10), 1 / 3, 5e-3),
}
"""Configuration -> target; that of bf16 depends on the instructions that multiply it."""
CREATION = 1 / 2
"""Our seconds of creation over the peer's, at most."""
EXPONENT = 1.05
"""Power of the area with which our seconds may grow, at most."""


def compare_with_peer(
    weights: Path, rounds: int, progress: Progress
) -> dict[str, list[ScorerTiming]]:
    """Time the peer, our engines and onnxruntime in turns, each in a process of its own."""
    scorers = {PEER: (PEER, "fp32", weights)}
    scorers |= {name: (*one, weights) for name, one in _configurations().items()}
    if find_spec("onnxruntime") and find_spec("onnx"):
        from qualiclip_metric.export import export

        model = export(weights, weights.with_suffix(".onnx"), "onnx")
        scorers[f"{ONNX} fp32"] = (ONNX, "fp32", model)
    found: dict[str, list[ScorerTiming]] = {name: [] for name in scorers}
    for turn in range(rounds):
        for name, (scorer, precision, checkpoint) in scorers.items():
            progress(f"round {turn + 1} of {rounds}: {name}")
            task = SpeedTask(scorer, str(checkpoint), SIZES, precision, photos=True)
            found[name].append(run_task(task))
    return found


def time_lite(rounds: int, progress: Progress) -> dict[tuple[str, int], list[ScorerTiming]]:
    """Time `lite` in each of our configurations: (configuration, batch size) -> its rounds."""
    found: dict[tuple[str, int], list[ScorerTiming]] = {}
    for name, (engine, precision) in _configurations().items():
        for batch in LITE_BATCHES:
            progress(f"lite: {name}, batch {batch}")
            task = SpeedTask(engine, "lite", LITE_SIZES, precision, batch)
            found[name, batch] = [run_task(task) for _ in range(rounds)]
    return found


def _configurations() -> dict[str, tuple[str, str]]:
    """Name -> engine and precision, for the engines that are installed."""
    engines = ["torch", "openvino"] if find_spec("openvino") else ["torch"]
    return {f"{one} {kind}": (one, kind) for one in engines for kind in PRECISIONS}


def ratio_table(results: Mapping[str, Rounds]) -> str:
    """Compare with the peer: a Markdown row per configuration, a column per size.

    A cell is the median over the rounds of the peer's seconds over ours, the range, and where
    there is a target, whether it is reached.
    """
    peer = results[PEER]
    sizes = [one.size for one in peer[0].sizes]
    header = ["peer / ours", *(f"{h}x{w}" for h, w in sizes), "peak memory", "largest deviation",
              "creation"]  # fmt: skip
    rows = [
        [name, *_ratio_cells(peer, ours, _target(name, ours))]
        for name, ours in results.items()
        if name != PEER
    ]
    return markdown(header, rows)


def _ratio_cells(peer: Rounds, ours: Rounds, target: Target | None) -> list[str]:
    cells = []
    for i, one in enumerate(peer[0].sizes):
        ratios = [p.sizes[i].seconds / o.sizes[i].seconds for p, o in zip(peer, ours, strict=True)]
        middle = statistics.median(ratios)
        cell = f"{middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        goal = target.ratios[SIZES.index(one.size)] if target and one.size in SIZES else None
        cells.append(cell if goal is None else f"{cell} of {goal:g}: {_verdict(middle >= goal)}")
    memory, difference = _peak(ours) / _peak(peer), _deviation(peer, ours)
    created = _created(ours) / _created(peer)
    cells += [f"{memory:.2f}", f"{difference:.1e}", f"{created:.2f}"]
    if target is not None:
        cells[-3] += f" of {target.memory:.2f}: {_verdict(memory <= target.memory)}"
        cells[-2] += f" of {target.deviation:g}: {_verdict(difference < target.deviation)}"
        cells[-1] += f" of {CREATION:g}: {_verdict(created <= CREATION)}"
    return cells


def seconds_table(results: Mapping[str, Rounds]) -> str:
    """Seconds per image, memory, creation, first call and growth with the area, in Markdown."""
    sizes = [one.size for one in next(iter(results.values()))[0].sizes]
    header = ["seconds", *(f"{h}x{w}" for h, w in sizes), "peak MB", "creation", "first call",
              "exponent of time"]  # fmt: skip
    rows = []
    for name, own in results.items():
        seconds = [_seconds(own, i) for i in range(len(sizes))]
        first = statistics.median(one.sizes[0].first for one in own)
        slope = _exponent(sizes, seconds)
        grown = number(slope)
        if math.isfinite(slope) and _target(name, own):
            grown += f", at most {EXPONENT}: {_verdict(slope <= EXPONENT)}"
        rows.append([
            name, *(f"{one:.4g}" for one in seconds), f"{_peak(own):.0f}",
            f"{_created(own):.2f}", f"{first:.2f}", grown,
        ])  # fmt: skip
    return markdown(header, rows)


def lite_table(results: Mapping[tuple[str, int], Rounds]) -> str:
    """Images per second of `lite` in Markdown: a row per configuration."""
    header = ["lite, images per second",
              *(f"{h}x{w}, batch {b}" for b in LITE_BATCHES for h, w in LITE_SIZES)]  # fmt: skip
    rows = [
        [
            name,
            *(
                f"{batch / _seconds(results[name, batch], i):.1f}"
                for batch in LITE_BATCHES
                for i in range(len(LITE_SIZES))
            ),
        ]
        for name in dict.fromkeys(name for name, _ in results)
    ]
    return markdown(header, rows)


def _target(name: str, rounds: Rounds) -> Target | None:
    return TARGETS.get(name) or TARGETS.get(f"{name}, {rounds[0].bf16}")


def _verdict(reached: bool) -> str:
    return "pass" if reached else "below target"


def _seconds(rounds: Rounds, i: int) -> float:
    return statistics.median(one.sizes[i].seconds for one in rounds)


def _peak(rounds: Rounds) -> float:
    """Megabytes at the largest size."""
    return statistics.median(one.sizes[-1].peak for one in rounds)


def _created(rounds: Rounds) -> float:
    return statistics.median(one.created for one in rounds)


def _deviation(peer: Rounds, ours: Rounds) -> float:
    """Largest absolute difference of a score in the first round, over sizes and photos."""

    def scores(rounds: Rounds) -> list[float]:
        return [*(one.score for one in rounds[0].sizes), *rounds[0].photo_scores]

    return max(abs(a - b) for a, b in zip(scores(peer), scores(ours), strict=True))


def _exponent(sizes: Sequence[tuple[int, int]], seconds: Sequence[float]) -> float:
    """Slope of log(seconds) against log(area), least squares; 1 is linear, NaN for one size."""
    if len(sizes) < 2:
        return math.nan
    areas = [height * width for height, width in sizes]
    return float(np.polyfit(np.log(areas), np.log(seconds), 1)[0])
