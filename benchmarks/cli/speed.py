"""`python -m benchmarks speed`: our engines and their peer, in turn, each in its own process.

Knows how to start workers; what they measure is in `speed_worker`, the tables are in `speed`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.formatting import markdown
from benchmarks.speed.tables import (
    CREATION,
    EXPONENT,
    IMPORT,
    SIZES,
    TARGETS,
    Result,
    exponent,
    ratio_table,
    seconds,
    seconds_table,
    verdict,
)
from qualiclip_metric.files import write_text

LARGEST = (4320, 7680)
LARGEST_MEGABYTES = 4000.0
LITE_SIZES = ((512, 512), (1080, 1920))
LITE_BATCHES = (1, 16)
HEAVY = ("pyiqa", "pandas", "matplotlib", "torch")
"""Modules that `import qualiclip_metric` must not import."""
PACKAGES = ("torch", "openvino", "onnxruntime", "pyiqa")


def speed(
    out: Annotated[Path | None, typer.Option(help="File for all figures, as JSON.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="In qualiclip.pth's layout; a seeded one unless told.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every scorer.")] = 3,
    only: Annotated[
        list[str] | None,
        typer.Option(help="imports, limit, precision, lite, large, network."),
    ] = None,
) -> None:
    """Seconds per image and peak memory against pyiqa's own QualiCLIP on the same checkpoint.

    Prints, per cell, the ratio and whether it passes or falls short of its target.
    """
    wanted = set(only or PARTS)
    if unknown := wanted - PARTS.keys():
        raise ValueError(f"--only: expected {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    report: dict[str, Any] = {"machine": machine(), "rounds": rounds}
    report["note"] = f"Measured by the speed command on {report['machine']['cpu']}."
    with tempfile.TemporaryDirectory() as folder:
        weights = checkpoint or _seeded(Path(folder))
        for name, part in PARTS.items():
            if name in wanted:
                report[name] = part(weights, rounds)
                if out is not None:  # what is measured is kept, whatever comes after
                    write_text(out, json.dumps(report, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    import torch

    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "cpu": abilities.get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "amx": bool(abilities.get("amx_bf16")),
        **{name: metadata.version(name) for name in PACKAGES if find_spec(name)},
    }


def _seeded(folder: Path) -> Path:
    from benchmarks.reference.seeded import write_official

    return write_official(folder / "QualiCLIP.pth")


def run(**task: Any) -> Result:
    """One worker's result.

    Raises:
        ValueError: When the worker fails; with the end of what it said.
    """
    words = [sys.executable, "-m", "benchmarks.speed.worker", json.dumps(task)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ValueError(f"{task['scorer']} failed: {reason}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def _engines() -> list[str]:
    return ["torch", "openvino"] if find_spec("openvino") else ["torch"]


def network(weights: Path, rounds: int) -> dict[str, list[Result]]:
    """The RN50 tower at all sizes: peer, our engines, onnxruntime."""
    tasks: dict[str, dict[str, Any]] = {"peer": {"scorer": "peer", "checkpoint": str(weights)}}
    for engine in _engines():
        for precision in ("fp32", "bf16"):
            tasks[f"{engine} {precision}"] = {
                "scorer": engine, "precision": precision, "checkpoint": str(weights)
            }  # fmt: skip
    if find_spec("onnxruntime") and find_spec("onnx"):
        from qualiclip_metric.export import export

        model = export(weights, weights.with_suffix(".onnx"), "onnx")
        tasks["onnxruntime fp32"] = {"scorer": "onnxruntime", "checkpoint": str(model)}
    results: dict[str, list[Result]] = {name: [] for name in tasks}
    for number in range(rounds):
        for name, task in tasks.items():
            typer.echo(f"round {number + 1} of {rounds}: {name}", err=True)
            results[name].append(run(sizes=SIZES, photos=True, **task))
    typer.echo(ratio_table(results))
    typer.echo(seconds_table(results))
    created = {n: statistics.median(r["created"] for r in found) for n, found in results.items()}
    share = created["torch fp32"] / created["peer"]
    typer.echo(
        f"creation: {share:.2f} of the peer's, at most {CREATION:g}: {verdict(share <= CREATION)}"
    )
    for name in TARGETS.keys() & results.keys():
        for what in ("seconds", "memory"):
            grown = exponent(results[name], what)
            typer.echo(
                f"{name}: {what} grow with the area to the power of {grown:.3f}, "
                f"at most {EXPONENT}: {verdict(grown <= EXPONENT)}"
            )
    return results


def large(weights: Path, rounds: int) -> dict[str, Result]:
    """One 8K image in each of our configurations: does it fit?"""
    found = {}
    for engine in _engines():
        for precision in ("fp32", "bf16"):
            task = {"scorer": engine, "precision": precision, "checkpoint": str(weights)}
            result = run(sizes=[LARGEST], calls=1, **task)
            peak, name = result["rows"][0]["peak"], f"{engine} {precision}"
            typer.echo(
                f"7680x4320, {name}: {result['rows'][0]['seconds'][0]:.1f} s, {peak:.0f} MB, "
                f"at most {LARGEST_MEGABYTES:.0f}: {verdict(peak <= LARGEST_MEGABYTES)}"
            )
            found[name] = result
    return found


def lite(weights: Path, rounds: int) -> dict[str, list[Result]]:
    """`lite` on both engines: images per second at two sizes, two precisions, two batches."""
    found: dict[str, list[Result]] = {}
    rows = []
    for engine in _engines():
        for precision in ("fp32", "bf16"):
            cells = []
            for batch in LITE_BATCHES:
                task = {"scorer": engine, "precision": precision, "checkpoint": "lite"}
                own = [run(sizes=LITE_SIZES, batch=batch, **task) for _ in range(rounds)]
                found[f"{engine} {precision} batch {batch}"] = own
                rates = (batch / statistics.median(seconds(own, size)) for size in LITE_SIZES)
                cells += [f"{rate:.1f}" for rate in rates]
            rows.append([f"{engine} {precision}", *cells])
    header = ["lite, images per second",
              *(f"{h}x{w}, batch {b}" for b in LITE_BATCHES for h, w in LITE_SIZES)]  # fmt: skip
    typer.echo(markdown(header, rows))
    return found


def imports(weights: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of `import qualiclip_metric` and `import pyiqa`, an empty start taken off."""
    times: dict[str, list[float]] = {"pass": [], "qualiclip_metric": [], "pyiqa": []}
    for _ in range(max(3, rounds)):
        for name, found in times.items():
            code = name if name == "pass" else f"import {name}"
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            found.append(time.perf_counter() - start)
    empty, ours, theirs = (statistics.median(found) for found in times.values())
    share = (ours - empty) / (theirs - empty)
    asked = f"import sys, qualiclip_metric; print(*[n for n in {HEAVY} if n in sys.modules])"
    heavy = subprocess.run(
        [sys.executable, "-c", asked], check=True, capture_output=True, text=True
    )
    typer.echo(
        f"import qualiclip_metric: {ours - empty:.3f} s, import pyiqa: {theirs - empty:.2f} s; "
        f"{share:.3f}, at most {IMPORT:.2f}: {verdict(share < IMPORT)}; "
        f"heavy modules imported: {heavy.stdout.strip() or 'none'}: "
        f"{verdict(not heavy.stdout.strip())}"
    )
    return times


def limit(weights: Path, rounds: int) -> dict[str, Any]:
    """How near the RN50 tower at 512x512 comes to the best that the machine can do."""
    import torch

    from benchmarks.speed import limit as speed_limit

    size, found = (512, 512), {}
    count = speed_limit.operations(*size)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        best = speed_limit.limit(dtype)
        for engine in _engines():
            task = {"scorer": engine, "precision": precision, "checkpoint": str(weights)}
            own = run(sizes=[size], calls=15, **task)
            rate = count / min(own["rows"][0]["seconds"])
            typer.echo(
                f"{engine} {precision} at 512x512: {count / 1e9:.1f} GFLOP at {rate / 1e9:.0f} "
                f"GFLOP/s, {rate / best['limit']:.0%} of {best['limit'] / 1e9:.0f} "
                f"(matrix {best['matrix'] / 1e9:.0f}, convolution {best['convolution'] / 1e9:.0f})"
            )
            found[f"{engine} {precision}"] = {"operations": count, "rate": rate, **best}
    return found


def precision(weights: Path, rounds: int) -> dict[str, dict[str, float]]:
    """How far bf16 and OpenVINO move the scores of `lite`, on photos clean and degraded."""
    import torch
    from scipy.stats import spearmanr

    from benchmarks.speed.worker import photos
    from qualiclip_metric import create
    from qualiclip_metric.distortions import DISTORTIONS, distort

    rng, clean = torch.Generator().manual_seed(0), photos()
    bad = [distort(img, name, 3, rng) for img in clean for name in DISTORTIONS]
    found = {}
    reference = None
    for engine in _engines():
        for kind in ("fp32", "bf16"):
            metric = create("lite", engine=engine, precision=kind)
            with torch.inference_mode():
                scores = torch.cat([metric(img).flatten() for img in [*clean, *bad]])
            reference = scores if reference is None else reference
            moved = (scores - reference).abs()
            found[f"{engine} {kind}"] = {
                "clean": moved[: len(clean)].max().item(),
                "degraded": moved[len(clean) :].max().item(),
                "rms": moved.square().mean().sqrt().item(),
                "srcc": float(spearmanr(scores, reference).statistic),
            }
    header = ["lite against torch fp32", "largest, clean", "largest, degraded", "rms", "SRCC"]
    rows = [
        [name, *(f"{v[k]:.1e}" for k in ("clean", "degraded", "rms")), f"{v['srcc']:.5f}"]
        for name, v in found.items()
    ]
    typer.echo(f"{len(clean)} photos, and the same at level 3 of {len(DISTORTIONS)} distortions")
    typer.echo(markdown(header, rows))
    return found


PARTS: dict[str, Callable[[Path, int], Any]] = {
    "imports": imports,
    "limit": limit,
    "precision": precision,
    "lite": lite,
    "large": large,
    "network": network,
}
"""Parts of the benchmark, by the name that `--only` takes."""

app = speed
