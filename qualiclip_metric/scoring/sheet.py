"""The contact sheet of scores: one self-contained page for many scored images, best first."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qualiclip_metric.decoding import ImageError
from qualiclip_metric.files import atomic_write
from qualiclip_metric.prompts import fault_in_words
from qualiclip_metric.sheets.cards import ContactSheet
from qualiclip_metric.sheets.pictures import thumbnail
from qualiclip_metric.streaming.rows import Row

BINS = 20
"""Bars of the histogram."""


class ScoreSheet(ContactSheet):
    """A contact sheet in the making; a context manager that owns a scratch file.

    Each file is read a second time for its thumbnail; what is behind a URL or in a shard gets none.
    A card takes some 6 kB of the page.

    Args:
        folder: Where the scratch file is, and later the page.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Path(__file__).parent)
        self._counts, self._total = [0] * BINS, 0.0
        self._failed: list[tuple[str, str]] = []

    def passing(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows as they come, each added on its way."""
        for row in rows:
            self.add(row)
            yield row

    def add(self, row: Row) -> None:
        """Put an image's card on disk, or keep the reason why it has none."""
        if row.score is None:
            self._failed.append((row.key, row.error or ""))
            return
        self._counts[min(BINS - 1, int(row.score * BINS))] += 1
        self._total += row.score
        verdict = fault_in_words(row.fault, row.faults[row.fault]) if row.fault else ""
        card = self._card(row.score, row.key, verdict, _picture(row.key))
        self._cards.add(-row.score, card)

    def write(self, path: Path, signature: str, title: str = "Scores") -> None:
        """Write the page.

        Args:
            path: File to write.
            signature: What the scores depend on.
            title: Of the page.
        """
        count, most = len(self._cards), max(self._counts) or 1
        self._write(
            path,
            title=title,
            signature=signature,
            failed=self._failed,
            mean=self._total / max(1, count),
            bins=[(images / most, images) for images in self._counts],
        )


def _picture(key: str) -> str:
    """A thumbnail; empty where the key is no file, or one that cannot be read a second time."""
    try:
        return thumbnail(key)
    except ImageError:
        return ""


@contextmanager
def score_page(
    path: Path | None, signature: str
) -> Iterator[Callable[[Iterable[Row]], Iterator[Row]]]:
    """What passes rows on and draws them; the page appears at the end of the block.

    Args:
        path: The page; None draws nothing.
        signature: What the scores depend on.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
    """
    if path is None:
        yield iter
        return
    with ScoreSheet(path.parent) as sheet:
        yield sheet.passing
        with atomic_write(path) as scratch:
            sheet.write(scratch, signature)
