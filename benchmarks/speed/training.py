"""Does the distortion pipeline keep up with the network, and where does a training step's time go.

The training loop itself runs for a few steps and reports its own time. The starting weights are
random: speed does not depend on them.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.reference.seeded import write_lite
from benchmarks.speed.photos import write_photos
from qualiclip_metric import images
from qualiclip_metric.distortions import DISTORTIONS, LEVELS, ladder
from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.training import TrainConfig, data, features, train
from qualiclip_metric.training.batches import ladder_batches
from qualiclip_metric.training.data import DrawBatchSampler, PristineDataset
from qualiclip_metric.training.loop import Report

CONFIGS = (Path("configs/lite.toml"), Path("configs/quick.toml"))
LAPS = ("data", "forward", "backward", "optimizer")

Json = dict[str, Any]


def measure(
    config: TrainConfig, files: Sequence[Path], *, batch_size: int = 2, steps: int = 4
) -> Json:
    """Crops per second of pipeline and network, and the split of a step's time.

    Args:
        config: Of `lite`; its batch size, steps and draws are cut down to what is measured.
        files: Pristine photos, at least two.
        batch_size: Most photos per step.
        steps: Steps of each kind; the first, which also warms up, does not count.

    Returns:
        Plain values: `pipeline` and `network` in crops per second, and `steps`: for the training
        that the config asks for, and for fine-tuning the whole encoder, the median seconds of each
        lap. Where features are collected first, the step is that of the projection on them.
    """
    config = replace(config, batch_size=min(batch_size, config.batch_size), steps=steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pipeline, network = _pipeline(config, files, device), _collecting(config, device)
    return {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "crop_size": config.crop_size,
        "pipeline": pipeline,
        "network": {"features": network},
        "pipeline_over_network": pipeline["crops_per_second"] / network,
        "steps": {
            "as configured": _steps(_cut(config), files),
            "whole encoder": _steps(replace(config, draws=0, trunk_learning_rate=1e-5), files),
        },
    }


def types(size: int = 224, repeats: int = 3) -> dict[str, float]:
    """Milliseconds per crop of each distortion type in one thread, over its whole ladder.

    Args:
        size: Side of the two crops of one photo, px.
        repeats: How often, besides a first time; the smallest counts.

    Returns:
        Type -> milliseconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        photo = images.read(write_photos(Path(folder), 1)[0])
    crops = torch.stack([photo[:, :size, :size], photo[:, -size:, -size:]])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            name: 1e3 * min(_ladder_seconds(crops, name) for _ in range(1 + repeats))
            for name in DISTORTIONS
        }
    finally:
        torch.set_num_threads(before)


def rows(name: str, result: Json) -> list[str]:
    """Lines to print.

    Args:
        name: Of the settings.
        result: Of `measure`.

    Returns:
        The figures in words.
    """
    pipeline, network = result["pipeline"], result["network"]
    lines = [
        f"{name}: crops of {result['crop_size']} px on {result['device']}, {result['precision']}, "
        f"{result['threads']} threads",
        f"  pipeline    {pipeline['crops_per_second']:8.0f} crops/s, {pipeline['workers']} "
        f"workers ({pipeline['one_process']:.0f} in one process: {pipeline['read_share']:.0%} "
        "reading and cropping, the rest distorting)",
        f"  network     {network['features']:8.0f} crops/s forward, without gradients; the "
        f"pipeline makes {result['pipeline_over_network']:.1f} times as many",
    ]
    for kind, step in result["steps"].items():
        whole = sum(step[lap] for lap in LAPS)
        parts = ", ".join(
            f"{lap} {step[lap] * 1e3:.1f} ms ({step[lap] / whole:.0%})" for lap in LAPS
        )
        lines += [
            f"  step, {kind}: {step['crops']} crops, {whole * 1e3:.1f} ms: {parts}",
            f"    the network takes {step['crops_per_second']:.0f} crops/s of these",
        ]
    return lines


class _Enough(Exception):
    """As many steps as were asked for."""


def _pipeline(config: TrainConfig, files: Sequence[Path], device: torch.device) -> Json:
    """Crops per second of reading, cropping and degrading, as the loop does them and inline."""
    batches = 4 * max(1, config.workers)
    arrivals, crops = [], 0
    sampler = DrawBatchSampler(range(batches + 1), config.batch_size)
    for batch in ladder_batches(files, config, sampler, device):
        crops = batch.crops.shape[:3].numel()
        arrivals.append(_now(device))
    draws, began = PristineDataset(files, config), time.perf_counter()
    drawn = [draws[number] for number in range(2 * config.batch_size)]
    read = time.perf_counter() - began
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    data.degrade(drawn, config, device)
    degraded = _now(device) - began - read
    torch.set_num_threads(before)
    return {
        "workers": config.workers,
        "crops_per_second": batches * crops / (arrivals[-1] - arrivals[0]),
        "one_process": 2 * crops / (read + degraded),
        "read_share": read / (read + degraded),
    }


def _collecting(config: TrainConfig, device: torch.device) -> float:
    """Crops per second of the frozen trunk on chunks as `features.collect` has them."""
    encoder = LiteEncoder().to(memory_format=torch.channels_last).to(device).eval()
    crops = torch.rand(features.CHUNK, 3, config.crop_size, config.crop_size, device=device)
    crops = crops.contiguous(memory_format=torch.channels_last)
    bf16 = config.precision == "bf16"
    seconds = []
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for _ in range(6):
            began = _now(device)
            encoder.pooled(crops)
            seconds.append(_now(device) - began)
    return features.CHUNK / statistics.median(seconds[1:])


def _cut(config: TrainConfig) -> TrainConfig:
    """The same training with few draws, and more steps where a step is on features alone."""
    return replace(config, draws=2 * config.batch_size, steps=40) if config.draws else config


def _steps(config: TrainConfig, files: Sequence[Path]) -> Json:
    """Median seconds of the laps of the loop's own steps, broken off before it validates."""
    laps: list[Mapping[str, float]] = []

    def collect(report: Report) -> None:
        if report.phase == "training":
            laps.append(report.seconds)
        if len(laps) == config.steps:
            raise _Enough

    endless = replace(config, steps=10**9, validate_every=10**9, checkpoint_every=10**9)
    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        origin = write_lite(Path(folder, "start.safetensors"))
        train(endless, files, Path(folder, "run"), pretrained=origin, report=collect)
    step: Json = {lap: statistics.median(one[lap] for one in laps[1:]) for lap in LAPS}
    draws = config.head_batch_size if config.draws else config.batch_size
    step["crops"] = draws * 2 * (config.levels + config.include_pristine)
    step["crops_per_second"] = step["crops"] / sum(step[lap] for lap in LAPS if lap != "data")
    return step


def _ladder_seconds(crops: Tensor, name: str) -> float:
    """Seconds of one core per degraded crop."""
    began = time.thread_time()
    ladder(crops, name, torch.Generator().manual_seed(0))
    return (time.thread_time() - began) / (LEVELS * len(crops))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def type_rows(found: Mapping[str, float]) -> list[str]:
    """What `types` found, slowest first."""
    slowest = sorted(found, key=lambda name: -found[name])
    mean = statistics.fmean(found.values())
    return [
        f"distorting one crop in one thread: {mean:.2f} ms on average over the types",
        *(f"  {name:<18}{found[name]:7.2f} ms" for name in slowest),
    ]
