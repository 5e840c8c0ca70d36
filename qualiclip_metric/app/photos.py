"""Photos of the app's visitor: scored when they are dropped, explained when they are opened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qualiclip_metric.explanations.explanation import MAPS, Explanation, Panel, explain_image
from qualiclip_metric.explanations.overlay import grey
from qualiclip_metric.explanations.positions import has_positions
from qualiclip_metric.images import read
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.pages.pictures import thumbnail_if_readable
from qualiclip_metric.prompts import likeliest_fault
from qualiclip_metric.reference import Reference, reference_for, shipped
from qualiclip_metric.scoring.columns import Row, layout_for
from qualiclip_metric.scoring.options import Format, ScoreOptions
from qualiclip_metric.scoring.pipeline import score_items
from qualiclip_metric.scoring.text_formats import render
from qualiclip_metric.sources.item import Item

SIDE = 900
"""Longer side of an opened photo, px."""
WORSE, BETTER = (0.80, 0.22, 0.15), (0.10, 0.47, 0.85)
"""RGB in [0, 1] of places where the second photo is worse or better than the first."""
FULL_COLOUR = 0.5
"""Difference of two local scores that is drawn in full colour."""


def panels_of(metric: QualiCLIP) -> tuple[Panel, ...]:
    """Maps that the app offers for a metric, the quickest first; all find faults well."""
    return (*(MAPS["positions"] if has_positions(metric) else ()), *MAPS["local"])


def reference_of(metric: QualiCLIP) -> Reference | None:
    """The shipped reference, if the metric's scores have its scale."""
    return reference_for(metric.signature and metric.signature.of_files("srgb"))


@dataclass(frozen=True)
class ScoredPhoto:
    """A scored photo that was uploaded."""

    row: Row  # its key is the file's name
    path: Path
    thumbnail: str  # data URI; empty where the file cannot be read

    @property
    def name(self) -> str:
        """The file's name."""
        return self.row.key

    @property
    def score(self) -> float | None:
        """In [0, 1], higher is better; None where it failed."""
        return self.row.score

    @property
    def verdict(self) -> str:
        """Percentile and likeliest fault, `above 61 % · blur 87%`; without either, the other."""
        place = "" if self.row.percentile is None else f"above {self.row.percentile:.0f} %"
        return " · ".join(filter(None, (place, likeliest_fault(self.row.faults))))


def scored(metric: QualiCLIP, paths: Sequence[Path]) -> Iterator[ScoredPhoto]:
    """Score uploaded files, in their order; an unreadable file is a photo with its error."""
    items = [Item(path.name, path) for path in paths]
    options = ScoreOptions(diagnose=bool(metric.faults), reference=reference_of(metric))
    rows = score_items(metric, items, options)
    for path, row in zip(paths, rows, strict=True):
        yield ScoredPhoto(row, path, "" if row.score is None else thumbnail_if_readable(path))


def as_csv(photos: Sequence[ScoredPhoto], signature: str) -> str:
    """Write rows as `qualiclip score --percentile --diagnose` does, with names for paths."""
    options = ScoreOptions(
        diagnose=any(photo.row.faults for photo in photos),
        reference=shipped() if any(p.row.percentile is not None for p in photos) else None,
    )
    rows = (photo.row for photo in photos)
    return "".join(render(rows, Format.csv, layout_for(signature, options)))


def in_order(photos: Sequence[ScoredPhoto], worst_first: bool) -> list[int]:
    """Sort positions of the photos by score; those without one come last."""
    sign = 1 if worst_first else -1
    rank = [(p.score is None, sign * (p.score or 0), index) for index, p in enumerate(photos)]
    return [index for *_, index in sorted(rank)]


def explained(metric: QualiCLIP, photo: ScoredPhoto, panel: Panel) -> Explanation:
    """Explain a photo that has a score, with one map; ImageError when its file is gone."""
    reference = reference_of(metric)
    return explain_image(
        metric, read(photo.path), photo.name, [panel], side=SIDE, reference=reference
    )


def difference(first: Explanation, second: Explanation) -> NDArray[Any] | None:
    """Draw where the second photo is worse or better than the first, over the second in grey.

    Both have the same map, in units of the score. `WORSE` and `BETTER` colour the places, in full
    where the difference is `FULL_COLOUR` or more. None where the shapes differ.
    """
    if first.photo.shape != second.photo.shape:
        return None
    change = (second.maps[0] - first.maps[0])[..., None] / FULL_COLOUR  # (h, w, 1), positive: worse
    colour = np.where(change > 0, np.array(WORSE), np.array(BETTER))
    opacity = 0.75 * np.abs(change).clip(0, 1)
    mixed = (1 - opacity) * grey(second.photo) + opacity * colour
    return np.asarray((mixed * 255).round(), np.uint8)
