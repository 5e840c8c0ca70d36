"""The batches of a run: degraded crops, or features of them where the trunk does not learn."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from qualiclip_metric.training import data, features
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import DrawBatchSampler, LadderBatch, PristineDataset
from qualiclip_metric.training.features import FeatureBatch
from qualiclip_metric.training.photos import Photo

if TYPE_CHECKING:
    from accelerate import Accelerator

Progress = Callable[[int, float], None]
"""Called with the number of draws done, and crops per second."""


def training_batches(
    encoder: Any,
    photos: Sequence[Photo],
    config: TrainConfig,
    first: int,
    accelerator: "Accelerator",
    table: Path,
    sources: dict[str, Any],
    progress: Progress,
) -> Iterator[LadderBatch | FeatureBatch]:
    """The batches of this process, from a step on.

    Args:
        encoder: The encoder, on its device.
        photos: Pristine photos.
        config: Settings; where `draws` is above 0, features are computed first.
        first: Step to begin with.
        accelerator: Of the run.
        table: Folder of the features.
        sources: What the features depend on besides the config.
        progress: Called while features are computed.

    Returns:
        One batch per step; the batches of all processes at a step are together what a single
        process with as many times the batch size would get.

    Raises:
        ValueError: Without photos, or where the folder holds other features.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    steps = range(first, config.steps)
    if not config.draws:
        sampler = DrawBatchSampler(steps, config.batch_size, rank, world)
        return ladder_batches(photos, config, sampler, accelerator.device)
    batch_size = config.batch_size * world
    if accelerator.is_main_process:
        features.check_identity(table, config, batch_size, sources)
    accelerator.wait_for_everyone()
    missing = features.missing_batches(table, config, batch_size)
    own = features.share(missing, rank, world)
    accelerator.wait_for_everyone()  # all have seen the same pieces before one adds to them
    features.collect(
        encoder,
        lambda numbers: ladder_batches(
            photos, config, DrawBatchSampler(numbers, batch_size), accelerator.device
        ),
        own,
        config,
        table,
        _in_draws(progress, config, batch_size, len(missing), len(missing) / max(1, len(own))),
    )
    accelerator.wait_for_everyone()
    return features.sample(features.load(table), config, steps, rank, world)


def _in_draws(
    progress: Progress, config: TrainConfig, batch_size: int, missing: int, processes: float
) -> Callable[[int], None]:
    """Turn this process's batches done into draws done, and crops per second from the first on."""
    crops = batch_size * 2 * (config.levels + config.include_pristine)
    total = -(-config.draws // batch_size)
    began = time.perf_counter()

    def update(done: int) -> None:
        batches = total - missing + min(missing, round(done * processes))
        rate = done * processes * crops / (time.perf_counter() - began)
        progress(min(config.draws, batches * batch_size), rate)

    return update


def ladder_batches(
    photos: Sequence[Photo], config: TrainConfig, sampler: DrawBatchSampler, device: torch.device
) -> Iterator[LadderBatch]:
    """Batches of degraded crops; degraded in the workers unless there is a device to do it.

    Args:
        photos: Pristine photos.
        config: Settings.
        sampler: Which draws make which batch.
        device: Where the network is.

    Yields:
        One batch for each of the sampler's.
    """
    on_cpu = device.type == "cpu"
    loader: DataLoader[Any] = DataLoader(
        PristineDataset(photos, config),
        batch_sampler=sampler,
        num_workers=config.workers,
        collate_fn=partial(data.degrade, config=config) if on_cpu else list,
        worker_init_fn=_single_thread,
    )
    for batch in loader:
        yield batch if on_cpu else data.degrade(batch, config, device)


def _single_thread(_worker: int) -> None:
    torch.set_num_threads(1)
