"""Decode images and score them, batch by batch; decoding runs ahead in worker processes.

Knows tensors, files and a scorer; knows no dataset and writes nothing. The plan of batches depends
on the whole dataset and the batch size alone, so a resumed run meets the same batches.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from qualiclip_metric.images import read

from .scorers import Scorer
from .store import Row

MAX_PIXELS = 8_000_000
"""Pixels in one batch: two 4K images, eight of 1024x768."""


@dataclass(frozen=True)
class Item:
    """An image to score; the size is what its header says, 0x0 where unreadable."""

    digest: str
    image: str
    path: str
    height: int
    width: int


Batch = tuple[Item, ...]
Decoded = list[tuple[Item, "Tensor | str"]]


def plan(items: Iterable[Item], batch_size: int) -> list[Batch]:
    """Batches of same-size images, in the order in which each size first appears."""
    sizes: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        sizes.setdefault((item.height, item.width), []).append(item)
    batches: list[Batch] = []
    for (height, width), members in sizes.items():
        fitting = MAX_PIXELS // (height * width) if height * width else 1
        step = max(1, min(batch_size, fitting))
        batches += [tuple(members[i : i + step]) for i in range(0, len(members), step)]
    return batches


def decode(path: str, short_side: int | None) -> Tensor:
    """Read an image as (3, H, W) RGB in [0, 1]; optionally resize its short side.

    The resize is bicubic with antialiasing, clamped to [0, 1].
    """
    image = read(path)
    if short_side is None or min(image.shape[-2:]) == short_side:
        return image
    height, width = image.shape[-2:]
    scale = short_side / min(height, width)
    size = [
        short_side if side == min(height, width) else int(side * scale) for side in (height, width)
    ]
    resized = interpolate(image[None], size, mode="bicubic", antialias=True)
    return resized[0].clamp(0.0, 1.0)


class _Decoder(TorchDataset[Decoded]):
    """Batches, decoded; a file that cannot be read gives its error's text."""

    def __init__(self, batches: Sequence[Batch], short_side: int | None) -> None:
        self.batches = batches
        self.short_side = short_side

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Decoded:
        if torch.utils.data.get_worker_info() is not None:
            torch.set_num_threads(1)
        decoded: Decoded = []
        for item in self.batches[index]:
            try:
                decoded.append((item, decode(item.path, self.short_side)))
            except (ValueError, OSError, RuntimeError, MemoryError) as err:
                decoded.append((item, describe(err)))
        return decoded


def _as_is(decoded: Decoded) -> Decoded:
    return decoded


def score_batches(
    scorer: Scorer, batches: Sequence[Batch], *, short_side: int | None = None, workers: int = 0
) -> Iterator[list[Row]]:
    """Score batches in order.

    Args:
        scorer: The metric.
        batches: What :func:`plan` gave, or a part of it.
        short_side: Resize the short side to this many pixels.
        workers: Decoding processes; 0 decodes here.

    Yields:
        The rows of each batch. A failed image has its error and score NaN.
    """
    loader = DataLoader(
        _Decoder(batches, short_side),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        collate_fn=_as_is,
    )
    for decoded in loader:
        yield _score(scorer, decoded)


def _score(scorer: Scorer, decoded: Decoded) -> list[Row]:
    images = [(item, image) for item, image in decoded if isinstance(image, Tensor)]
    rows = [_failed(item, error) for item, error in decoded if isinstance(error, str)]
    shapes = {image.shape for _, image in images}
    together = scorer.batched and len(shapes) == 1
    groups = [images] if together else [[pair] for pair in images]
    while groups:
        group = groups.pop(0)
        try:
            rows += _forward(scorer, group)
        except Exception as err:  # whatever a metric throws is the image's error, not the run's
            if len(group) > 1:  # one bad image must not cost its batch
                groups = [[pair] for pair in group]
            else:
                rows.append(_failed(group[0][0], describe(err), group[0][1]))
    return rows


def _forward(scorer: Scorer, images: list[tuple[Item, Tensor]]) -> list[Row]:
    assert scorer.score is not None
    batch = torch.stack([image for _, image in images]).to(scorer.device)
    start = time.perf_counter()
    scores = scorer.score(batch).detach().double().cpu().tolist()
    seconds = (time.perf_counter() - start) / len(images)
    if len(scores) != len(images):
        raise ValueError(f"the metric gave {len(scores)} scores for {len(images)} images")
    height, width = batch.shape[-2:]
    rows = []
    for (item, _), score in zip(images, scores, strict=True):
        finite = abs(score) < float("inf")
        error = "" if finite else f"score is {score}"
        value = score if finite else float("nan")
        rows.append(Row(item.digest, item.image, value, error, seconds, height, width))
    return rows


def _failed(item: Item, error: str, image: Tensor | None = None) -> Row:
    height, width = (item.height, item.width) if image is None else image.shape[-2:]
    return Row(item.digest, item.image, float("nan"), error, 0.0, int(height), int(width))


def describe(err: BaseException) -> str:
    """One line about an exception."""
    text = (str(err).strip().splitlines() or [""])[0]
    return f"{type(err).__name__}: {text}"[:500]
