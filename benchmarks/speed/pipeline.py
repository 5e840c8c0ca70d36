"""Images per second from files to scores, against the bare network on the same batches."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.speed.timing import call_seconds
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring import score_files

__all__ = ["PipelineTiming", "time_pipeline"]


@dataclass(frozen=True)
class PipelineTiming:
    """Rates of the rounds."""

    images: int  # how many were scored in each pass
    batches: int  # into which the pipeline put them
    network: list[float]  # images per second of the network on decoded batches, per round
    pipeline: list[float]  # images per second from files to scores, per round

    def __str__(self) -> str:
        """Three lines: the two rates and their ratio, median and range over the rounds."""
        ratios = [b / a for a, b in zip(self.network, self.pipeline, strict=True)]
        return (
            f"{self.images} images in {self.batches} batches, {len(ratios)} rounds, "
            f"{torch.get_num_threads()} threads\n"
            f"  network          {_range_text(self.network)} images/s\n"
            f"  files to scores  {_range_text(self.pipeline)} images/s\n"
            f"  ratio            {_range_text(ratios, 3)}"
        )


def time_pipeline(metric: QualiCLIP, files: Sequence[Path], rounds: int = 3) -> PipelineTiming:
    """Time the network and the pipeline in turns.

    All decoded batches are held in memory: 12 bytes a pixel.
    """
    batches: list[Tensor] = []

    def keep(_: object, args: tuple[Tensor, ...]) -> None:
        batches.append(args[0].clone())  # the pipeline uses the batch's memory again

    def score_photos() -> None:
        failed = [one.error for one in score_files(metric, files) if one.error is not None]
        if failed:
            raise ValueError(f"{len(failed)} photos could not be scored: {failed[0]}")

    def score_batches() -> None:
        for batch in batches:
            metric(batch).cpu()

    # the very batches that the pipeline makes of the files
    recording = metric.register_forward_pre_hook(keep)
    try:
        score_photos()
    finally:
        recording.remove()
    network, pipeline = [], []
    with torch.inference_mode():
        for _ in range(rounds):
            network.append(len(files) / call_seconds(score_batches))
            pipeline.append(len(files) / call_seconds(score_photos))
    return PipelineTiming(len(files), len(batches), network, pipeline)


def _range_text(values: Sequence[float], digits: int = 2) -> str:
    middle, low, high = (
        f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle:>7} ({low} to {high})"
