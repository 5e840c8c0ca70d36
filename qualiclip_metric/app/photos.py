"""Photos of the app's visitor: scored when they are dropped, explained when they are opened."""

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.explanations.explanation import MAPS, Explanation, Panel, explain_image
from qualiclip_metric.explanations.overlay import grey
from qualiclip_metric.explanations.positions import has_positions
from qualiclip_metric.images import pixels, read
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import likeliest_fault
from qualiclip_metric.reference import Reference
from qualiclip_metric.scoring.columns import Row, layout_for
from qualiclip_metric.scoring.options import Format, ScoreOptions
from qualiclip_metric.scoring.pipeline import score_items
from qualiclip_metric.scoring.text_formats import render
from qualiclip_metric.sources.item import Item

SIDE, THUMBNAIL = 900, 320
"""Longer sides of an opened photo and of one in the list, px."""
WORSE, BETTER = (0.80, 0.22, 0.15), (0.10, 0.47, 0.85)
"""RGB in [0, 1] of places where the second photo is worse or better than the first."""
FULL_COLOUR = 0.3
"""Difference of two local scores that is drawn in full colour."""


@dataclass(frozen=True, eq=False)  # Gradio hashes it, and a dict of faults has no hash
class ScoredPhoto:
    """An uploaded file with its row of results, whose key is the file's name."""

    row: Row
    path: Path
    thumbnail: Path | None  # None where it failed

    @property
    def name(self) -> str:
        """The file's name."""
        return self.row.key

    @property
    def score(self) -> float | None:
        """In [0, 1], higher is better; None where it failed."""
        return self.row.score

    @property
    def caption(self) -> str:
        """Score, percentile, likeliest fault and name: `0.4310 · above 61 % · blur 87% · a.jpg`."""
        place = "" if self.row.percentile is None else f"above {self.row.percentile:.0f} %"
        parts = (f"{self.score:.4f}", place, likeliest_fault(self.row.faults), self.name)
        return " · ".join(filter(None, parts))


class PhotoScorer:
    """Scores and explains uploaded photos, one at a time, until it is stopped."""

    def __init__(self, metric: QualiCLIP, reference: Reference | None) -> None:
        self.metric = metric
        self.options = ScoreOptions(diagnose=bool(metric.faults), reference=reference)
        self.layout = layout_for(str(metric.signature), self.options)
        self.panels = (*(MAPS["positions"] if has_positions(metric) else ()), *MAPS["local"])
        """Maps that the page offers, the quickest first; all find faults well."""
        self._working, self._stopped = threading.Lock(), False

    def stop(self) -> None:
        """End all work: the interpreter must not exit during a forward pass."""
        self._stopped = True
        with self._working:
            return

    def score(self, paths: Sequence[Path]) -> Iterator[ScoredPhoto]:
        """Score files, in their order; an unreadable file is a photo with its error."""
        items = [Item(path.name, path) for path in paths]
        rows = score_items(self.metric, items, self.options)
        for path in paths:
            with self._working:  # released after each photo, so that others can be opened
                if self._stopped:
                    return
                row = next(rows)
            yield ScoredPhoto(row, path, None if row.score is None else _thumbnail(path))

    def explain(self, photo: ScoredPhoto, panel: Panel) -> Explanation:
        """Explain a photo that has a score, with one map.

        Raises ImageError when its file is gone, RuntimeError after `stop`.
        """
        with self._working:
            if self._stopped:
                raise RuntimeError("the page was closed")
            img, reference = read(photo.path), self.options.reference
            return explain_image(
                self.metric, img, photo.name, [panel], side=SIDE, reference=reference
            )

    def csv(self, photos: Iterable[ScoredPhoto]) -> str:
        """Write rows as `qualiclip score --percentile --diagnose` does, with names for paths."""
        return "".join(render((photo.row for photo in photos), Format.csv, self.layout))


def _thumbnail(path: Path) -> Path:
    """Write the thumbnail of a photo that could be scored, into the folder for temporary files."""
    picture = Image.fromarray(pixels(path, side=THUMBNAIL))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    thumbnail = Path(tempfile.mkdtemp(), "thumbnail.jpg")
    picture.save(thumbnail)
    return thumbnail


def in_order(photos: Sequence[ScoredPhoto], worst_first: bool = False) -> list[ScoredPhoto]:
    """Sort photos by score; those without one come last."""
    sign = 1 if worst_first else -1
    return sorted(photos, key=lambda photo: (photo.score is None, sign * (photo.score or 0)))


def ranked(photos: Sequence[ScoredPhoto]) -> list[ScoredPhoto]:
    """Sort the photos that have a score."""
    return in_order([photo for photo in photos if photo.score is not None])


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
