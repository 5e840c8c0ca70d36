"""What each step brought: the RN50 tower from plain modules to fused strips, in one process.

`python -m benchmarks.speed_steps` prints a table: seconds per image at two sizes in two precisions,
rounds in turn, each step's shortest. Seeded weights; nothing here is what users call.
"""

import copy
import time
from collections.abc import Callable
from typing import Annotated
from unittest.mock import patch

import torch
import typer
from torch import Tensor

from benchmarks.tables import markdown
from qualiclip_metric.encoders import Encoder, RN50Encoder
from qualiclip_metric.engines import strips
from qualiclip_metric.engines.plan import Plan
from qualiclip_metric.engines.strips import StripEngine

WHOLE = 10**12
Maps = Callable[[Tensor], object]


def steps(dtype: torch.dtype) -> dict[str, Maps]:
    """Name of each step -> the trunk computed so."""
    encoder = _tower()
    plan = encoder.plan()
    return {
        "modules, NCHW": _modules(encoder, dtype, torch.contiguous_format),
        "modules, channels_last": _modules(encoder, dtype, torch.channels_last),
        "+ batch normalisation folded": _unfused(plan, dtype),
        "+ fused, weights laid out (bf16)": StripEngine(plan, dtype, strip_pixels=WHOLE),
        "+ strips": StripEngine(plan, dtype),
    }


def _tower() -> RN50Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RN50Encoder().eval().requires_grad_(False)


def _modules(encoder: Encoder, dtype: torch.dtype, form: torch.memory_format) -> Maps:
    own = copy.deepcopy(encoder).to(memory_format=form)
    if dtype != torch.float32:
        own.trunk.to(dtype)

    def maps(img: Tensor) -> object:
        return own.maps(img.contiguous(memory_format=form))

    return maps


def _unfused(plan: Plan, dtype: torch.dtype) -> Maps:
    with patch.object(strips, "_has_fused", lambda *_: False):
        return StripEngine(plan, dtype, strip_pixels=WHOLE)


def compiled(dtype: torch.dtype) -> tuple[Maps, Callable[[Tensor], float]]:
    """torch.compile with frozen weights, and what times its first call."""
    import torch._inductor.config as inductor

    encoder = _tower()
    encoder.trunk.to(dtype).to(memory_format=torch.channels_last)
    fast = torch.compile(encoder.trunk, dynamic=False)

    def maps(img: Tensor) -> object:
        normal = ((img - encoder.mean) / encoder.std).to(dtype, memory_format=torch.channels_last)
        with inductor.patch(freezing=True):
            return fast(normal)

    def first(img: Tensor) -> float:
        start = time.perf_counter()
        maps(img)
        return time.perf_counter() - start

    return maps, first


def shortest(calls: dict[str, Maps], img: Tensor, rounds: int) -> dict[str, float]:
    """Seconds of the shortest call of each, called in turn."""
    best = dict.fromkeys(calls, float("inf"))
    with torch.inference_mode():
        for call in calls.values():
            call(img)
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call(img)
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each step at 512x512.")] = 7,
    inductor: Annotated[bool, typer.Option(help="Try torch.compile at 512x512, too.")] = False,
) -> None:
    """Print what each step brought."""
    columns: dict[str, dict[str, float]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        calls = steps(dtype)
        img = torch.rand(1, 3, 512, 512)
        if inductor:
            maps, first = compiled(dtype)
            with torch.inference_mode():
                typer.echo(f"torch.compile, {name}: first call {first(img):.1f} s", err=True)
            calls_small = {**calls, "torch.compile, frozen": maps}
        else:
            calls_small = calls
        columns[f"512x512 {name}"] = shortest(calls_small, img, rounds)
        columns[f"2160x3840 {name}"] = shortest(calls, torch.rand(1, 3, 2160, 3840), 2)
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [[n, *(f"{c[n]:.3f}" if n in c else "–" for c in columns.values())] for n in names]
    typer.echo(markdown(["step", *columns], rows))


if __name__ == "__main__":
    typer.run(main)
