"""The page of `qualiclip score --html`: a card per scored image, best first."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from qualiclip_metric.files import atomic_write
from qualiclip_metric.pages.cards import Card, CardPage
from qualiclip_metric.pages.pictures import thumbnail_if_readable
from qualiclip_metric.prompts import likeliest_fault

AnyRow = TypeVar("AnyRow")
"""A row of scores: anything with `key`, `score`, `error` and `faults`."""


@contextmanager
def score_page(
    path: Path, signature: str
) -> Iterator[Callable[[Iterable[AnyRow]], Iterator[AnyRow]]]:
    """Open a page of scores; yield a function that adds rows to it and passes them on unchanged.

    The file appears at the end of the block. Each file is read a second time for its thumbnail;
    images behind a URL or in a shard get none. A card takes about 6 kB of the page.
    """
    with CardPage(path.parent) as page:

        def draw(rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
            for row in rows:
                _add(page, row)
                yield row

        yield draw
        with atomic_write(path) as scratch:
            page.write(scratch, title="Scores", signature=signature)


def _add(page: CardPage, row: Any) -> None:
    if row.score is None:
        page.add_failure(row.key, row.error or "")
        return
    percentile = None if row.percentile is None else f"above {row.percentile:.0f} %"
    below = "below the bar" if row.keep is False else None
    badge = " · ".join(filter(None, (percentile, below, likeliest_fault(row.faults))))
    # no picture where the key is a URL or a place in a shard
    page.add(Card(row.key, row.score, thumbnail_if_readable(row.key), badge))
