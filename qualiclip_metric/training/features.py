"""Features of degraded crops, computed once where the trunk does not learn.

With a frozen trunk a ladder's pooled features never change, so a run of thousands of steps needs
each of its `draws` only once through the trunk. The table is kept in the run's folder in pieces;
processes share the pieces, and a run that was cut off computes those that are missing.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import LadderBatch, generator
from qualiclip_metric.training.pieces import Pieces

PIECE = 16
"""Batches per file."""
CHUNK = 32
"""Crops at once through the trunk: as many as fit a CPU's cache."""
SETTINGS = (
    "model seed batch_size draws crop_size overlap min_scale levels "
    "max_distortions include_pristine exclude anchor precision"
).split()
"""What a table depends on, besides photos and pretrained weights."""
_BATCH = 20  # purpose of the generator that picks a step's draws


@dataclass(frozen=True)
class FeatureBatch:
    """Features of some draws.

    Attributes:
        pooled: The trunk's features after average pooling, (draws, 2, levels, channels).
        reference: Full-reference quality as in `LadderBatch`, or None where none was asked for.
    """

    pooled: Float[Tensor, "draws 2 levels channels"]
    reference: Float[Tensor, "draws levels"] | None


def check_identity(
    folder: Path, config: TrainConfig, batch_size: int, sources: Mapping[str, Any]
) -> None:
    """Write what a folder's features are of, or refuse if they are of something else.

    Args:
        folder: Of the table's pieces; made where it is missing.
        config: Settings.
        batch_size: Draws per batch, of all processes together.
        sources: Digests of the photos and of the pretrained weights.

    Raises:
        ValueError: When the folder holds features of other settings, photos or weights.
    """
    identity = {k: config.to_dict()[k] for k in SETTINGS} | {"batch_size": batch_size, **sources}
    Pieces(folder, identity)


def missing_batches(folder: Path, config: TrainConfig, batch_size: int) -> list[int]:
    """Numbers of the batches whose features are not there.

    Args:
        folder: Of the table's pieces.
        config: Settings; `draws` is used.
        batch_size: Draws per batch.

    Returns:
        Numbers of batches, ascending, always those of whole pieces.
    """
    total = -(-config.draws // batch_size)
    table = Pieces(folder)
    pieces = [n for n in range(-(-total // PIECE)) if not table.has(n)]
    return [b for n in pieces for b in range(n * PIECE, min(total, (n + 1) * PIECE))]


def share(batches: Sequence[int], rank: int, world: int) -> list[int]:
    """The batches that one process computes: every `world`-th of the pieces.

    Args:
        batches: As `missing_batches` gives them.
        rank: Number of the process.
        world: Number of processes.

    Returns:
        Numbers of batches, ascending.
    """
    pieces = sorted({b // PIECE for b in batches})[rank::world]
    return [b for b in batches if b // PIECE in pieces]


def collect(
    encoder: LiteEncoder,
    batches: Callable[[Sequence[int]], Iterable[LadderBatch]],
    numbers: Sequence[int],
    config: TrainConfig,
    folder: Path,
    progress: Callable[[int], None],
) -> None:
    """Compute and write the features of some batches.

    Args:
        encoder: An encoder with `pooled`, on its device.
        batches: Numbers of batches -> these batches.
        numbers: As `missing_batches` gives them.
        config: Settings; `precision` is used.
        folder: Of the table's pieces.
        progress: Called with the number of batches done.
    """
    if not numbers:
        return
    pooled = (_pooled(encoder, batch, config) for batch in batches(numbers))
    numbered = zip(numbers, pooled, strict=True)
    done = 0
    for piece, group in itertools.groupby(numbered, lambda pair: pair[0] // PIECE):
        made: list[FeatureBatch] = []
        for _, batch in group:
            made.append(batch)
            done += 1
            progress(done)
        Pieces(folder).save(piece, _rows(made))


def load(folder: Path) -> FeatureBatch:
    """The whole table."""
    rows = Pieces(folder).load()
    return FeatureBatch(rows["pooled"], rows.get("reference"))


def sample(
    table: FeatureBatch, config: TrainConfig, steps: Iterable[int], rank: int = 0, world: int = 1
) -> Iterator[FeatureBatch]:
    """The batches of one process, drawn with replacement from the table.

    Args:
        table: Features to draw from.
        config: Settings; `seed` and `head_batch_size` are used.
        steps: Numbers of the steps.
        rank: Number of this process.
        world: Number of processes; together they get what one process with as many times the
            batch size would.

    Yields:
        One batch for each step.
    """
    size = config.head_batch_size
    for step in steps:
        rng = generator(config.seed, step, _BATCH)
        index = torch.randint(len(table.pooled), (world * size,), generator=rng)
        index = index[rank * size : (rank + 1) * size]
        yield FeatureBatch(
            table.pooled[index], None if table.reference is None else table.reference[index]
        )


def _pooled(encoder: LiteEncoder, batch: LadderBatch, config: TrainConfig) -> FeatureBatch:
    device = next(encoder.parameters()).device
    crops = batch.crops.to(device)
    bf16 = config.precision == "bf16"
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        pooled = torch.cat(
            [
                encoder.pooled(some.contiguous(memory_format=torch.channels_last)).float()
                for some in torch.split(crops.flatten(0, 2), CHUNK)
            ]
        )
    return FeatureBatch(pooled.reshape(*crops.shape[:3], -1).cpu(), batch.reference)


def _rows(batches: Sequence[FeatureBatch]) -> dict[str, Tensor]:
    rows = {"pooled": torch.cat([b.pooled for b in batches])}
    reference = [b.reference for b in batches if b.reference is not None]
    return rows | ({"reference": torch.cat(reference)} if reference else {})
