"""What the page knows of each photo, and what it computes when one or two are opened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qualiclip_metric.explanations.explanation import Explanation, explain_image
from qualiclip_metric.explanations.overlay import grey
from qualiclip_metric.explanations.positions import has_positions
from qualiclip_metric.images import ImageError, read
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import fault_in_words, fault_name
from qualiclip_metric.scoring.items import Options, score_items
from qualiclip_metric.sheets.pictures import thumbnail
from qualiclip_metric.streaming.items import Item
from qualiclip_metric.streaming.lines import CsvLines
from qualiclip_metric.streaming.rows import Layout, Row

SIDE = 900
"""Longer side of an opened photo, px."""
WORSE, BETTER = (0.80, 0.22, 0.15), (0.10, 0.47, 0.85)
"""RGB in [0, 1] of places where the second photo is worse or better than the first."""
FULL = 0.5
"""Difference of two local scores that is drawn in full colour."""


class Map(NamedTuple):
    """A map that the page offers.

    Args:
        title: What a button calls it.
        kind: Key of `explanations.explanation.MAPS`.
        panel: Which of its panels.
    """

    title: str
    kind: str
    panel: int


QUICK = (Map("Where it is bad", "positions", 0), Map("What takes the score down", "positions", 1))
WINDOWS = Map("Window by window (slower)", "local", 0)


def maps_of(metric: QualiCLIP) -> tuple[Map, ...]:
    """The maps that a metric has, the quickest first."""
    return (*QUICK, WINDOWS) if has_positions(metric) else (WINDOWS,)


@dataclass(frozen=True)
class Photo:
    """A scored photo.

    Args:
        row: What the scoring gave; its key is the file's name.
        path: The file that was uploaded.
        thumbnail: A data URI; empty where the file cannot be read.
    """

    row: Row
    path: Path
    thumbnail: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.row.key

    @property
    def score(self) -> float | None:
        """In [0, 1], higher is better; None where it failed."""
        return self.row.score

    @property
    def faults(self) -> list[tuple[str, float]]:
        """Faults in words and how likely they are, the likeliest first; or empty."""
        ranked = sorted(self.row.faults.items(), key=lambda item: -item[1])
        return [(fault_name(name), share) for name, share in ranked]

    @property
    def verdict(self) -> str:
        """The likeliest fault, `blur 87%`; empty without a diagnosis."""
        fault = self.row.fault
        return fault_in_words(fault, self.row.faults[fault]) if fault else ""


def scored(metric: QualiCLIP, paths: Sequence[Path]) -> Iterator[Photo]:
    """Score uploaded files, in their order; a file that cannot be read is a photo with its error.

    Args:
        metric: The metric.
        paths: The files.
    """
    items = [Item(path.name, path) for path in paths]
    rows = score_items(metric, items, Options(diagnose=bool(metric.faults)))
    for path, row in zip(paths, rows, strict=True):
        yield Photo(row, path, "" if row.score is None else _thumbnail(path))


def _thumbnail(path: Path) -> str:
    try:
        return thumbnail(path)
    except ImageError:  # gone since it was scored
        return ""


def as_csv(photos: Sequence[Photo], signature: str) -> str:
    """The rows of `qualiclip score --format csv --diagnose`, with names in place of paths.

    Args:
        photos: In the order of the rows.
        signature: What the scores depend on.
    """
    lines = CsvLines(Layout(signature, diagnosed=any(photo.row.faults for photo in photos)))
    return lines.header + "".join(lines.line(photo.row) for photo in photos)


def in_order(photos: Sequence[Photo], worst_first: bool) -> list[int]:
    """Positions of the photos, sorted by score; those without one come last.

    Args:
        photos: In any order.
        worst_first: Else the best comes first.
    """
    sign = 1 if worst_first else -1
    rank = [(p.score is None, sign * (p.score or 0), index) for index, p in enumerate(photos)]
    return [index for *_, index in sorted(rank)]


def explained(metric: QualiCLIP, photo: Photo, shown: Map) -> Explanation:
    """Profile and maps of a photo.

    Args:
        metric: The metric.
        photo: One that has a score.
        shown: Which map is wanted; all maps of its kind are computed.

    Raises:
        ImageError: When its file is gone.
    """
    img = read(photo.path).to(metric.device)
    with torch.inference_mode(False):
        return explain_image(metric, img, photo.name, kind=shown.kind, side=SIDE)


def difference(first: Explanation, second: Explanation, panel: int) -> NDArray[Any] | None:
    """Where the second photo is worse or better than the first, over the second in grey.

    Args:
        first: A photo with maps in units of the score.
        second: Another one with the same maps.
        panel: Which map.

    Returns:
        (h, w, 3) RGB, uint8: `WORSE` where the second one is worse, `BETTER` where it is better, in
        full where the difference is `FULL` or more; None where the photos' shapes differ.
    """
    if first.photo.shape != second.photo.shape:
        return None
    change = (second.maps[panel] - first.maps[panel])[..., None] / FULL
    colour = np.where(change > 0, np.array(WORSE), np.array(BETTER))
    opacity = 0.75 * np.abs(change).clip(0, 1)
    mixed = (1 - opacity) * grey(second.photo) + opacity * colour
    return np.asarray((mixed * 255).round(), np.uint8)
