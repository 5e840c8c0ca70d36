"""A page of cards, one per image, sorted by score, or in groups of a given order.

A card is rendered when it is added, and goes into a scratch file; only its position there stays in
memory, so that a page may have any number of cards.
"""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from qualiclip_metric.extras import require

BINS = 20
"""Bars of the histogram of scores."""


@dataclass(frozen=True)
class Card:
    """One image on the page."""

    name: str
    score: float
    thumbnail: str = ""  # data URI; empty for no picture
    badge: str = ""  # beside the score, such as the likeliest fault
    details: str = ""  # HTML or text, shown when the card is opened; empty: it does not open
    group: int = 0  # number of the group that the card stands in; 0 for none


class _Stored(NamedTuple):
    """Sort key and place of a rendered card in the scratch file."""

    group: int
    rank: float
    order: int
    start: int
    length: int


class CardPage:
    """A page of cards; a context manager that owns a scratch file in `folder`."""

    def __init__(self, folder: Path, *, worst_first: bool = False) -> None:
        environment = templates()
        self._page = environment.get_template("page.html.j2")
        self._card = environment.get_template("macros.html.j2").module.card
        self._sign = 1 if worst_first else -1
        self._scratch = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed in __exit__
        self._stored: list[_Stored] = []
        self._bins, self._total = [0] * BINS, 0.0
        self._failed: list[tuple[str, str]] = []

    def __enter__(self) -> "CardPage":
        return self

    def __exit__(self, *error: object) -> None:
        self._scratch.close()

    def add(self, card: Card) -> None:
        """Render a card into the scratch file."""
        # a group is in the order of its picks, in which scores are one term of several
        rank = 0.0 if card.group else self._sign * card.score
        # CSS `order` takes integers: millionths of the score turn the order round without script
        html = self._card(card, round(-1e6 * rank))
        content = str(html).encode("utf-8", "replace")
        start = self._scratch.seek(0, io.SEEK_END)
        self._scratch.write(content)
        self._stored.append(_Stored(card.group, rank, len(self._stored), start, len(content)))
        self._bins[min(BINS - 1, int(card.score * BINS))] += 1
        self._total += card.score

    def add_failure(self, name: str, reason: str) -> None:
        """List an image that has no score, with the reason."""
        self._failed.append((name, reason))

    def write(self, path: Path, *, title: str, signature: str, hint: str = "") -> None:
        """Write the page: cards by score, equal ones and those of a group in the order of `add`.

        `hint` is one more sentence at the top.
        """
        most = max(self._bins) or 1
        stream = self._page.stream(
            title=title,
            signature=signature,
            hint=hint,
            worst_first=self._sign > 0,
            count=len(self._stored),
            mean=self._total / max(1, len(self._stored)),
            bins=[(images / most, images) for images in self._bins],
            grouped=any(card.group for card in self._stored),
            groups=self._sorted(),
            failed=self._failed,
        )
        stream.dump(str(path), encoding="utf-8", errors="replace")

    def _sorted(self) -> Iterator[tuple[int, Iterator[Any]]]:
        """Groups, each with the HTML of its cards."""
        for number, cards in groupby(sorted(self._stored), attrgetter("group")):
            yield number, map(self._read, cards)

    def _read(self, card: _Stored) -> Any:
        from markupsafe import Markup

        self._scratch.seek(card.start)
        return Markup(self._scratch.read(card.length).decode("utf-8"))


def templates(folder: Path | None = None) -> Any:
    """Make Jinja2's environment for the templates of this package and of a further folder."""
    jinja2 = require("jinja2", "explain", "pages")
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*([folder] if folder else ()), Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
