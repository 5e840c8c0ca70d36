"""The cards of a contact sheet, on disk until the page is put together, and its templates.

Cards are rendered and put on disk as they come, so that the memory does not grow with the number of
images.
"""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

_Sheet = TypeVar("_Sheet", bound="ContactSheet")


class _Stored(NamedTuple):
    """Where a card lies in the scratch file, and what the cards are sorted by."""

    rank: float
    order: int
    start: int
    length: int


class Cards:
    """Rendered cards, kept in a scratch file until they are closed.

    Args:
        folder: Where the scratch file is.
    """

    def __init__(self, folder: Path) -> None:
        self._scratch = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed in close
        self._stored: list[_Stored] = []

    def close(self) -> None:
        """Remove the scratch file."""
        self._scratch.close()

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, rank: float, card: str) -> None:
        """Put a card on disk.

        Args:
            rank: Cards come in ascending order of it, equal ones in the order in which they came.
            card: HTML, everything in it escaped.
        """
        content = str(card).encode("utf-8", "replace")
        start = self._scratch.seek(0, io.SEEK_END)
        self._scratch.write(content)
        self._stored.append(_Stored(rank, len(self._stored), start, len(content)))

    def __iter__(self) -> Iterator[Any]:
        """The cards in order, marked as HTML."""
        from markupsafe import Markup

        for card in sorted(self._stored):
            self._scratch.seek(card.start)
            yield Markup(self._scratch.read(card.length).decode("utf-8"))


class ContactSheet:
    """A page of cards in the making; a context manager that owns their scratch file.

    Args:
        folder: Where the scratch file is, and later the page.
        templates_folder: Holds `sheet.html.j2`, the page, and `card.html.j2` with the macro `card`.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """

    def __init__(self, folder: Path, templates_folder: Path) -> None:
        environment = templates(templates_folder)
        self._template = environment.get_template("sheet.html.j2")
        self._card = environment.get_template("card.html.j2").module.card
        self._cards = Cards(folder)

    def __enter__(self: _Sheet) -> _Sheet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cards.close()

    def _write(self, path: Path, **content: Any) -> None:
        """Write the page: its cards, their number, and what else the template shows."""
        stream = self._template.stream(count=len(self._cards), cards=self._cards, **content)
        stream.dump(str(path), encoding="utf-8", errors="replace")


def templates(folder: Path) -> Any:
    """Jinja2's environment: the templates of a folder, and `base.html.j2`, which they extend.

    Args:
        folder: Where the templates are.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as err:
        raise ImportError(
            "contact sheets need Jinja2: pip install 'qualiclip-metric[explain]'"
        ) from err
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
