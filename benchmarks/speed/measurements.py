"""What the speed benchmark measures, part by part; each scorer runs in a process of its own."""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from benchmarks.speed import roofline
from benchmarks.speed.tables import LARGEST, LITE_BATCHES, LITE_SIZES, SIZES, Result
from benchmarks.speed.worker import photos
from qualiclip_metric import create
from qualiclip_metric.distortions import DISTORTIONS, distort

__all__ = ["Session", "imports", "large", "limit", "lite", "network", "precision", "run_worker"]

HEAVY = ("pyiqa", "pandas", "matplotlib", "torch")
"""Modules that `import qualiclip_metric` must not import."""
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Session:
    """What all parts of one benchmark share.

    Attributes:
        weights: RN50 checkpoint in the layout of qualiclip.pth.
        rounds: Turns of every scorer.
        environment: Variables for the workers, as of `machine.isa_environment`.
        progress: Receives a line of text before each measurement.
    """

    weights: Path
    rounds: int
    environment: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda text: None

    def run(self, **task: Any) -> Result:
        """One worker's result; see `run_worker`."""
        return run_worker(task, self.environment)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Engine and precision -> task of the RN50 tower, for the engines that are installed."""
        engines = ["torch", "openvino"] if find_spec("openvino") else ["torch"]
        return {
            f"{engine} {kind}": {
                "scorer": engine, "precision": kind, "checkpoint": str(self.weights)
            }
            for engine in engines
            for kind in PRECISIONS
        }  # fmt: skip


def run_worker(task: Mapping[str, Any], environment: Mapping[str, str]) -> Result:
    """Measure in a process of its own.

    Args:
        task: Of `worker.measure`.
        environment: Variables that the process gets besides ours.

    Returns:
        What `worker.measure` returns.

    Raises:
        ValueError: The worker fails; with the end of what it said.
    """
    words = [sys.executable, "-m", "benchmarks.speed.worker", json.dumps(dict(task))]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ValueError(f"{task['scorer']} failed: {reason}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def network(session: Session) -> dict[str, list[Result]]:
    """The RN50 tower at all sizes: peer, our engines, onnxruntime; one result per round."""
    tasks = {"peer": {"scorer": "peer", "checkpoint": str(session.weights)}, **session.tasks()}
    if find_spec("onnxruntime") and find_spec("onnx"):
        from qualiclip_metric.export import export

        model = export(session.weights, session.weights.with_suffix(".onnx"), "onnx")
        tasks["onnxruntime fp32"] = {"scorer": "onnxruntime", "checkpoint": str(model)}
    results: dict[str, list[Result]] = {name: [] for name in tasks}
    for number in range(session.rounds):
        for name, task in tasks.items():
            session.progress(f"round {number + 1} of {session.rounds}: {name}")
            results[name].append(session.run(sizes=SIZES, photos=True, **task))
    return results


def large(session: Session) -> dict[str, Result]:
    """One 8K image in each of our configurations."""
    found = {}
    for name, task in session.tasks().items():
        session.progress(f"{LARGEST[1]}x{LARGEST[0]}: {name}")
        found[name] = session.run(sizes=[LARGEST], calls=1, **task)
    return found


def lite(session: Session) -> dict[str, list[Result]]:
    """`lite` in each of our configurations, alone and in batches; one result per round."""
    found = {}
    for name, task in session.tasks().items():
        for batch in LITE_BATCHES:
            label = f"{name} batch {batch}"
            session.progress(f"lite: {label}")
            own = {**task, "checkpoint": "lite", "batch": batch}
            found[label] = [session.run(sizes=LITE_SIZES, **own) for _ in range(session.rounds)]
    return found


def imports(session: Session) -> dict[str, Any]:
    """Seconds of fresh processes that import nothing, us and pyiqa, and what of `HEAVY` we import.

    Returns:
        ``pass``, ``qualiclip_metric`` and ``pyiqa``: seconds per round; ``heavy``: names.
    """
    times: dict[str, list[float]] = {"pass": [], "qualiclip_metric": [], "pyiqa": []}
    for _ in range(max(3, session.rounds)):
        for name, found in times.items():
            code = name if name == "pass" else f"import {name}"
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            found.append(time.perf_counter() - start)
    code = f"import sys, qualiclip_metric; print(*[n for n in {HEAVY} if n in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {**times, "heavy": heavy.stdout.split()}


def limit(session: Session) -> dict[str, dict[str, float]]:
    """The RN50 tower at 512x512 against the best rates of this machine.

    Returns:
        Per configuration `operations` of one image, `rate` in operations per second, and the
        machine's rates of `roofline.rates`.
    """
    size, found = (512, 512), {}
    count = roofline.operations(*size)
    best = functools.cache(roofline.rates)
    for name, task in session.tasks().items():
        session.progress(f"limit: {name}")
        dtype = torch.bfloat16 if task["precision"] == "bf16" else torch.float32
        own = session.run(sizes=[size], calls=15, **task)
        rate = count / min(own["rows"][0]["seconds"])
        found[name] = {"operations": count, "rate": rate, **best(dtype)}
    return found


def precision(session: Session) -> dict[str, Any]:
    """How far bf16 and OpenVINO move the scores of `lite`, on photos clean and distorted.

    Returns:
        ``photos``, their number, and per configuration the largest absolute difference to torch
        fp32 on ``clean`` and ``degraded`` photos (level 3 of every type), its ``rms`` and ``srcc``.
    """
    rng, clean = torch.Generator().manual_seed(0), photos()
    bad = [distort(img, name, 3, rng) for img in clean for name in DISTORTIONS]
    found: dict[str, Any] = {"photos": len(clean)}
    reference = None
    for name, task in session.tasks().items():
        session.progress(f"precision: {name}")
        metric = create("lite", engine=task["scorer"], precision=task["precision"])
        with torch.inference_mode():
            scores = torch.cat([metric(img).flatten() for img in [*clean, *bad]])
        reference = scores if reference is None else reference
        difference = (scores - reference).abs()
        found[name] = {
            "clean": difference[: len(clean)].max().item(),
            "degraded": difference[len(clean) :].max().item(),
            "rms": difference.square().mean().sqrt().item(),
            "srcc": float(spearmanr(scores, reference).statistic),
        }
    return found
