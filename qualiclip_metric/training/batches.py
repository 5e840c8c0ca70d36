"""What each step learns from: ladders of crops, or features of a trunk that does not learn."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from qualiclip_metric.training import data, features
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import Ladders, Numbers, Photos
from qualiclip_metric.training.features import FeatureBatch

if TYPE_CHECKING:
    from accelerate import Accelerator

Progress = Callable[[int, float], None]
"""Told the number of draws done, and crops per second."""


def batches(
    encoder: Any,
    photos: Sequence[Path],
    config: TrainConfig,
    first: int,
    accelerator: "Accelerator",
    table: Path,
    sources: dict[str, Any],
    progress: Progress,
) -> Iterator[Ladders | FeatureBatch]:
    """The batches of this process, from a step on.

    Args:
        encoder: The encoder, on its device.
        photos: Pristine photos.
        config: Settings; where `draws` is above 0, features are computed first.
        first: Step to begin with.
        accelerator: Of the run.
        table: Folder of the features.
        sources: What the features depend on besides the config.
        progress: Told how far the features are.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    if not config.draws:
        return ladders(photos, config, Numbers(config, first, rank, world), accelerator.device)
    if accelerator.is_main_process:
        whole = dataclasses.replace(config, steps=-(-config.draws // config.batch_size))
        features.collect(
            encoder,
            lambda n: ladders(photos, config, Numbers(whole, n, 0, 1), accelerator.device),
            config,
            sources,
            table,
            _with_rate(progress, crops=2 * (config.levels + config.include_pristine)),
        )
    accelerator.wait_for_everyone()
    return features.sample(features.load(table), config, first, rank, world)


def _with_rate(progress: Progress, crops: int) -> Callable[[int], None]:
    """Turn draws done into draws done and crops per second since the first call."""
    began: list[tuple[int, float]] = []

    def tell(done: int) -> None:
        began.append((done, time.perf_counter()))
        draws, seconds = done - began[0][0], began[-1][1] - began[0][1]
        progress(done, draws * crops / seconds if seconds else 0.0)

    return tell


def ladders(
    photos: Sequence[Path], config: TrainConfig, numbers: Numbers, device: torch.device
) -> Iterator[Ladders]:
    """Batches of degraded crops; degraded in the workers unless there is a device to do it."""
    on_cpu = device.type == "cpu"
    loader: DataLoader[Any] = DataLoader(
        Photos(photos, config),
        batch_sampler=numbers,
        num_workers=config.workers,
        collate_fn=partial(data.degrade, config=config) if on_cpu else list,
        worker_init_fn=_single_thread,
    )
    for batch in loader:
        yield batch if on_cpu else data.degrade(batch, config, device)


def _single_thread(_worker: int) -> None:
    torch.set_num_threads(1)
