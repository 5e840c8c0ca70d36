"""The contact sheet: one self-contained page for many explained images, worst first.

Cards are rendered and put on disk as they come, so that the memory does
not grow with the number of images; the page is put together at the end. It holds no script and
loads nothing: a card is a `<details>` element, which works by mouse, keyboard and screen reader.
"""

import io
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from qualiclip_metric.explanations.explanation import Explanation
from qualiclip_metric.explanations.overlay import bar, overlay
from qualiclip_metric.pictures import THUMBNAIL, data_uri

TEMPLATE = "sheet.html.j2"
PICTURE = 420
"""Longer side of an opened picture, px. A card takes some 80 kB of the page."""


class _Stored(NamedTuple):
    """Where a card lies in the scratch file, and what the cards are sorted by."""

    score: float
    order: int
    start: int
    length: int


class Sheet:
    """A contact sheet in the making; a context manager that owns a scratch file.

    Args:
        folder: Where the scratch file is, and later the page.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from jinja2 import Environment, FileSystemLoader, StrictUndefined
        except ImportError as err:
            raise ImportError(
                "contact sheets need Jinja2: pip install 'qualiclip-metric[explain]'"
            ) from err
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template(TEMPLATE)
        self._parts = self._template.make_module(vars={})
        self._scratch = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed in __exit__
        self._cards: list[_Stored] = []
        self._legends: dict[str, str] = {}

    def __enter__(self) -> "Sheet":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch.close()

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
        card = self._parts.card(  # type: ignore[attr-defined]
            explained=explained,
            thumbnail=data_uri(explained.photo, THUMBNAIL),
            photo=data_uri(explained.photo, PICTURE),
            overlays=overlays,
            rows=rows,
            asked=asked if len(asked) < len(rows) else [],
        )
        content = str(card).encode("utf-8", "replace")
        start = self._scratch.seek(0, io.SEEK_END)
        self._scratch.write(content)
        self._cards.append(_Stored(explained.score, len(self._cards), start, len(content)))

    def write(self, path: Path, title: str, signature: str, failed: list[tuple[str, str]]) -> None:
        """Write the page, worst image first.

        Args:
            path: File to write.
            title: Of the page.
            signature: What the scores depend on.
            failed: Name and reason of each image that could not be explained.
        """
        from markupsafe import Markup

        # each card was escaped when it was rendered
        cards = (Markup(self._read(card)) for card in sorted(self._cards))
        stream = self._template.stream(
            title=title,
            signature=signature,
            failed=failed,
            count=len(self._cards),
            legends=self._legends,
            cards=cards,
        )
        stream.dump(str(path), encoding="utf-8", errors="replace")

    def _read(self, card: _Stored) -> str:
        self._scratch.seek(card.start)
        return self._scratch.read(card.length).decode("utf-8")
