"""An example report, from scikit-image's photos and their distorted copies."""

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import pandas as pd
from torch import Tensor

from benchmarks.datasets import Dataset
from benchmarks.datasets.frame import complete
from benchmarks.metrics.scorer import Scorer
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings
from qualiclip_metric.distortions import DISTORTIONS, versions
from qualiclip_metric.images import to_picture

__all__ = ["SIDE", "distorted_copies", "score_copies"]

LEVELS = (1, 3, 5)
SIDE = 320
"""Longer side of a copy, px."""

NOTES = {
    "label_name": "negated distortion level",
    "label_note": "The labels are no MOS: nobody rated these images. They are the level of a "
    "synthetic distortion (0 for the photo itself, then 1, 3, 5), negated, and levels of different "
    "types are not equally visible. This page shows what a report looks like; it is no benchmark.",
    "licence": "astronaut: NASA, public domain; chelsea, coffee, rocket: CC0 (skimage.data)",
    "citation": "van der Walt et al., scikit-image, PeerJ 2:e453, 2014, for the photos",
    "source": "https://scikit-image.org",
    "protocol": f"{len(DISTORTIONS)} types of distortion at levels 1, 3 and 5 of each photo",
    "direction": "level, negated: higher is better",
}


def distorted_copies(photos: Mapping[str, Tensor], folder: Path, seed: int) -> Dataset:
    """Write the photos and their distorted copies as PNG: a data set labelled by negated levels."""
    rows = []
    for i, (photo, image) in enumerate(photos.items()):
        copies = chain(
            [("pristine", 0, image[None])], versions(image[None], seed + i, levels=LEVELS)
        )
        for name, level, copy in copies:
            file = f"{photo}-{name}-{level}.png" if level else f"{photo}.png"
            to_picture(copy[0]).save(folder / file)
            kind = name if level else ""
            rows.append((file, -float(level), photo, kind, float(level)))
    raw = pd.DataFrame(rows, columns=["image", "mos", "reference", "distortion", "level"])
    frame = complete(raw, folder, dmos=False, name="example")
    title = "Photos of scikit-image and their distorted copies"
    return Dataset("example", "csv", title, frame, len(frame), 0, NOTES)


def score_copies(
    dataset: Dataset,
    scorers: Mapping[str, Scorer],
    results: Path,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Score the copies into a results folder."""
    frame = runner.prepare(dataset, results)
    for text, scorer in scorers.items():
        progress(f"{scorer.name} on {len(frame)} images")
        runner.run(scorer, Settings(text), dataset, frame, results)
