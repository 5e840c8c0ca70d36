"""CPU seconds of one thread per image: the trunk by its modules and by every engine, in turns.

Unlike the seconds on the clock, they hardly depend on what else the machine does. What they leave
out is how well two threads share the work.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.formatting import markdown
from benchmarks.speed.worker import picture
from qualiclip_metric.encoders import ENCODERS, Encoder
from qualiclip_metric.engines import DTYPES, ENGINES
from qualiclip_metric.input_check import check_values

__all__ = ["measure", "one_thread", "shortest", "table"]

MODULES = "modules"
CHECK = "input check"
"""Row of `input_check.check_values`, which every score goes through unless told otherwise."""


def measure(name: str, sizes: Sequence[tuple[int, int]], rounds: int) -> dict[str, Any]:
    """Seconds of CPU time per image, the shortest of several calls.

    Args:
        name: Architecture, a key of `ENCODERS`; its weights are random.
        sizes: (height, width) of the images.
        rounds: Calls that count, of each way in turn; one before them does not.

    Returns:
        `model`, `rounds`, and `seconds`: way -> one figure per size.
    """
    with one_thread(), torch.inference_mode():
        seconds = shortest(_ways(ENCODERS[name](()).eval().requires_grad_(False)), sizes, rounds)
    return {"model": name, "rounds": rounds, "sizes": [list(s) for s in sizes], "seconds": seconds}


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch, and the engines that are made meanwhile, to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ways(encoder: Encoder) -> dict[str, Callable[[Tensor], object]]:
    encoder.to(memory_format=torch.channels_last)
    graph, device = encoder.layer_graph(), torch.device("cpu")
    ways: dict[str, Callable[[Tensor], object]] = {MODULES: encoder.maps}
    for engine, make in ENGINES.items():
        if engine == "torch" or find_spec(engine) is not None:
            for precision, dtype in DTYPES.items():
                ways[f"{engine} {precision}"] = make(graph, dtype, device)
    ways[CHECK] = check_values
    return ways


def shortest(
    ways: Mapping[str, Callable[[Tensor], object]], sizes: Sequence[tuple[int, int]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of CPU time of the shortest call of each way.

    Args:
        ways: Name -> what is called with a picture, (1, 3, H, W).
        sizes: (height, width) of the pictures.
        rounds: Calls that count, of each way in turn; one before them does not.

    Returns:
        Way -> one figure per size.
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for size in sizes:
        img = picture(*size)
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds + 1):
            for way, compute in ways.items():
                start = time.process_time()
                compute(img)
                found[way].append(time.process_time() - start)
        for way, times in found.items():
            seconds[way].append(min(times[1:]))
    return seconds


def table(found: dict[str, Any]) -> str:
    """Markdown: milliseconds per way and size, and how many times faster than the modules.

    Of the input check, its share of the fastest way.
    """
    sizes = [f"{height}x{width}" for height, width in found["sizes"]]
    ways = {way: seconds for way, seconds in found["seconds"].items() if way != CHECK}
    rows = [
        [
            way,
            *(
                f"{1e3 * s:.0f} ({m / s:.2f}x)"
                for s, m in zip(ways[way], ways[MODULES], strict=True)
            ),
        ]
        for way in ways
    ]
    if CHECK in found["seconds"]:
        fastest = map(min, zip(*ways.values(), strict=True))
        shares = zip(found["seconds"][CHECK], fastest, strict=True)
        rows.append([CHECK, *(f"{1e3 * s:.2f} ({s / least:.2%})" for s, least in shares)])
    return markdown([f"{found['model']}, ms of CPU", *sizes], rows)
