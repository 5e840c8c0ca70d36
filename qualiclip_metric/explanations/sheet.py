"""The contact sheet: one self-contained page for many explained images, worst first.

It holds no script and loads nothing: a card is a `<details>` element, which works by mouse,
keyboard and screen reader.
"""

from pathlib import Path

from qualiclip_metric.explanations.explanation import Explanation
from qualiclip_metric.explanations.overlay import bar, overlay
from qualiclip_metric.sheets.cards import ContactSheet
from qualiclip_metric.sheets.pictures import THUMBNAIL, data_uri

PICTURE = 420
"""Longer side of an opened picture, px. A card takes some 80 kB of the page."""


class Sheet(ContactSheet):
    """A contact sheet in the making; a context manager that owns a scratch file.

    Args:
        folder: Where the scratch file is, and later the page.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Path(__file__).parent)
        self._legends: dict[str, str] = {}

    def add(self, explained: Explanation) -> None:
        """Put an image's card on disk."""
        for panel in explained.panels:
            if panel.colours not in self._legends:
                self._legends[panel.colours] = data_uri(bar(panel.colours), 256, "PNG")
        overlays = [
            (panel, data_uri(overlay(explained.photo, values, panel.colours), PICTURE))
            for panel, values in zip(explained.panels, explained.maps, strict=True)
        ]
        rows = [(*row, False) for row in zip(explained.pairs, explained.probabilities, strict=True)]
        asked = [explained.pairs[index] for index in explained.asked]
        card = self._card(
            explained=explained,
            thumbnail=data_uri(explained.photo, THUMBNAIL),
            photo=data_uri(explained.photo, PICTURE),
            overlays=overlays,
            rows=rows,
            asked=asked if len(asked) < len(rows) else [],
        )
        self._cards.add(explained.score, card)

    def write(self, path: Path, title: str, signature: str, failed: list[tuple[str, str]]) -> None:
        """Write the page, worst image first.

        Args:
            path: File to write.
            title: Of the page.
            signature: What the scores depend on.
            failed: Name and reason of each image that could not be explained.
        """
        self._write(
            path,
            title=title,
            signature=signature,
            failed=failed,
            legends=self._legends,
        )
