"""One scorer in a process of its own: seconds per call, peak memory, scores. One JSON line.

`python -m benchmarks.speed.worker TASK` is what `measurements.run_worker` starts, one scorer after
the other: the memory is that of one scorer alone, and nothing that one leaves behind helps or
hinders the next.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.machine import bf16_instructions

Score = Callable[[Tensor], Tensor]

PEER, ONNX = "peer", "onnxruntime"
CALLS = ((400_000, 9), (1_000_000, 5), (4_000_000, 3), (10**12, 1))
"""Calls that count, for batches of up to so many pixels; one before them does not."""


def build(task: dict[str, Any]) -> Score:
    """Make a scorer: `peer` (pyiqa's own class), `onnxruntime`, or an engine of this package."""
    name, checkpoint = task["scorer"], task["checkpoint"]
    if name == PEER:
        from benchmarks.reference.parity import upstream

        return upstream("qualiclip", checkpoint)
    if name == ONNX:
        from qualiclip_metric.export import onnx_scorer

        return onnx_scorer(checkpoint)
    from qualiclip_metric import create

    return create(checkpoint, engine=name, precision=task["precision"])


def picture(height: int, width: int, batch: int = 1) -> Tensor:
    """Random blocks under random noise, made without a copy on the way.

    Args:
        height: Px.
        width: Px.
        batch: How many.

    Returns:
        (batch, 3, H, W) in [0, 1].
    """
    rng = torch.Generator().manual_seed(height * width)
    made = torch.rand(batch, 3, height, width, generator=rng).mul_(0.2)
    cells = torch.rand(3, 8, 8, generator=rng)
    for channel, coarse in enumerate(cells):
        size = (height, width)
        made[:, channel] += 0.8 * nn.functional.interpolate(coarse[None, None], size)[0]
    return made


def photos() -> list[Tensor]:
    """scikit-image's photos, each whole, (1, 3, H, W) in [0, 1]."""
    from benchmarks.datasets.photos import pristine

    return [photo[None] for photo in pristine(None).values()]


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Build a scorer and time it.

    Args:
        task: `scorer`; `precision`; `checkpoint`; `sizes`, (height, width) in growing order, so
            that the peak after each is its own; `batch`, default 1; `photos`, whether to score
            them, too; `calls`, in place of `CALLS`.

    Returns:
        `bf16`, what multiplies it; `created`, seconds; `base`, the peak by then in megabytes;
        `rows`, per size the `first` call and the later ones in `seconds`, the `peak` since the
        process began, and the `score` of the first image; `photos`, their scores.
    """
    started = time.perf_counter()
    scorer = build(task)
    created = time.perf_counter() - started
    batch, base, rows = task.get("batch", 1), _peak(), []
    with torch.inference_mode():
        for height, width in task["sizes"]:
            img = picture(height, width, batch)
            first, scores = _timed(scorer, img)
            fitting = next(n for limit, n in CALLS if batch * height * width <= limit)
            seconds = [_timed(scorer, img)[0] for _ in range(task.get("calls", fitting))]
            rows.append(
                {
                    "size": [height, width],
                    "first": first,
                    "seconds": seconds,
                    "peak": _peak(),
                    "score": scores[0],
                }
            )
            del img
        shown = [_timed(scorer, img)[1][0] for img in photos()] if task.get("photos") else []
    return {
        "bf16": bf16_instructions(),
        "created": created,
        "base": base,
        "rows": rows,
        "photos": shown,
    }


def _timed(scorer: Score, img: Tensor) -> tuple[float, list[float]]:
    start = time.perf_counter()
    scores = scorer(img).flatten().tolist()
    return time.perf_counter() - start, scores


def _peak() -> float:
    """Largest resident set of this process so far, in megabytes (10^6 bytes).

    On Linux from /proc: there `getrusage` also counts what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
