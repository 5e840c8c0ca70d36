"""Features of degraded crops, computed once where the trunk does not learn. Knows no losses.

With a frozen trunk a ladder's pooled features never change, so a run of thousands of steps needs
each of its `draws` only once through the trunk. The table is kept in the run's folder in pieces,
and a run that was cut off goes on at the first piece that is missing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.files import replacing
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import Ladders, generator

PIECE = 16  # batches per file
CHUNK = 32  # crops at once through the trunk: fits a CPU's cache
SETTINGS = (
    "model seed batch_size draws crop_size overlap min_scale levels "
    "max_distortions include_pristine exclude anchor precision"
).split()
"""What a table depends on, besides photos and pretrained weights."""
_BATCH = 20  # purpose of the generator that picks a step's draws


@dataclass(frozen=True)
class FeatureBatch:
    """Pooled features of some draws, and their full-reference quality where one was asked for."""

    pooled: Float[Tensor, "draws 2 levels channels"]
    reference: Float[Tensor, "draws levels"] | None


def collect(
    encoder: LiteEncoder,
    batches: Callable[[int], Iterable[Ladders]],
    config: TrainConfig,
    sources: Mapping[str, Any],
    folder: Path,
    progress: Callable[[int], None],
) -> None:
    """Compute what is missing of the table.

    Args:
        encoder: An encoder with `pooled`, on its device.
        batches: First batch number -> batches from there on, `config.draws` draws in all.
        config: Settings.
        sources: Digest of the photos and of the start, so that no other table is gone on with.
        folder: Of the table's pieces.
        progress: Called with the number of draws done.

    Raises:
        ValueError: When the folder holds a table of other settings, photos or weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder / "table.json", {k: config.to_dict()[k] for k in SETTINGS} | dict(sources))
    piece = next(n for n in range(config.draws + 1) if not _path(folder, n).exists())
    pending: list[FeatureBatch] = []
    total = -(-config.draws // config.batch_size)
    for number, ladders in enumerate(batches(piece * PIECE), start=piece * PIECE):
        pending.append(_pooled(encoder, ladders, config))
        if len(pending) == PIECE or number + 1 == total:
            _save(folder, piece, pending)
            piece, pending = piece + 1, []
        progress(min(config.draws, (number + 1) * config.batch_size))


def load(folder: Path) -> FeatureBatch:
    """The whole table."""
    pieces = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    reference = [p["reference"] for p in pieces if "reference" in p]
    return FeatureBatch(
        torch.cat([p["pooled"] for p in pieces]),
        torch.cat(reference) if reference else None,
    )


def sample(
    table: FeatureBatch, config: TrainConfig, first: int, rank: int, world: int
) -> Iterator[FeatureBatch]:
    """A batch for each step from `first` on, drawn with replacement from the table."""
    for step in range(first, config.steps):
        rng = generator(config.seed, step * world + rank, _BATCH)
        index = torch.randint(len(table.pooled), (config.head_batch_size,), generator=rng)
        yield FeatureBatch(
            table.pooled[index], None if table.reference is None else table.reference[index]
        )


def _pooled(encoder: LiteEncoder, ladders: Ladders, config: TrainConfig) -> FeatureBatch:
    device = next(encoder.parameters()).device
    crops = ladders.crops.to(device)
    bf16 = config.precision == "bf16"
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        pooled = torch.cat(
            [
                encoder.pooled(some.contiguous(memory_format=torch.channels_last)).float()
                for some in torch.split(crops.flatten(0, 2), CHUNK)
            ]
        )
    return FeatureBatch(pooled.reshape(*crops.shape[:3], -1).cpu(), ladders.reference)


def _claim(path: Path, identity: dict[str, Any]) -> None:
    """Write what the table is of, or refuse if it is of something else."""
    if not path.exists():
        path.write_text(json.dumps(identity, indent=1))
        return
    found = json.loads(path.read_text())
    if changed := sorted(k for k in identity if found.get(k) != identity[k]):
        raise ValueError(
            f"{path.parent} holds features made with other {changed}; "
            "delete it, or give another --out"
        )


def _save(folder: Path, piece: int, batches: list[FeatureBatch]) -> None:
    tensors = {"pooled": torch.cat([b.pooled for b in batches])}
    reference = [b.reference.cpu() for b in batches if b.reference is not None]
    if reference:
        tensors["reference"] = torch.cat(reference)
    with replacing(_path(folder, piece)) as scratch:
        save_file({k: v.contiguous() for k, v in tensors.items()}, scratch)


def _path(folder: Path, piece: int) -> Path:
    return folder / f"{piece:05d}.safetensors"
