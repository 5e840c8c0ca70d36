"""How long the bootstrap of the SRCC takes: `python -m benchmarks.speed_statistics`.

Knows clocks and random scores; the statistics are those of the summary.
"""

import time
from typing import Annotated, Any

import numpy as np
import typer

from .bootstrap import interval, srcc_samples
from .correlations import srcc


def measure(images: int = 10_073, resamples: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Seconds of the bootstrap of one metric's SRCC, on random scores with ties as MOS have.

    Args:
        images: How many; KonIQ-10k has 10,073.
        resamples: Bootstrap resamples.
        seed: Decides scores and resamples.

    Returns:
        Plain values: the arguments, `seconds`, the `srcc` of the scores and its 95% interval.
    """
    rng = np.random.default_rng(seed)
    mos = rng.normal(3, 0.6, images).round(2)
    scores = mos + rng.normal(0, 0.5, images)
    began = time.perf_counter()
    samples = srcc_samples([scores], mos, resamples=resamples, seed=seed)[:, 0]
    seconds = time.perf_counter() - began
    bounds = interval(samples)
    return {
        "images": images,
        "resamples": resamples,
        "seconds": seconds,
        "srcc": float(srcc(scores, mos)),
        "low": bounds.low,
        "high": bounds.high,
    }


def row(result: dict[str, Any]) -> str:
    """What `measure` found, as a line to print."""
    return (
        f"{result['resamples']} bootstrap resamples of SRCC on {result['images']} images: "
        f"{result['seconds']:.2f} s (SRCC {result['srcc']:.4f}, 95% interval "
        f"{result['low']:.4f} to {result['high']:.4f})"
    )


def main(
    images: Annotated[int, typer.Option(min=2, help="Number of images.")] = 10_073,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples.")] = 10_000,
) -> None:
    """Print how long the bootstrap of one SRCC takes."""
    typer.echo(row(measure(images, resamples)))


if __name__ == "__main__":
    typer.run(main)
