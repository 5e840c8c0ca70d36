"""Where the rows of `qualiclip score` go: stdout, a file, a folder of Parquet parts."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol, TextIO

from qualiclip_metric.cli.rows import Format, Writer, lines_of
from qualiclip_metric.cli.terminal import stdout_errors
from qualiclip_metric.files import check_writable, is_special, writing
from qualiclip_metric.streaming import parts
from qualiclip_metric.streaming.done import DoneKeys
from qualiclip_metric.streaming.items import Item, is_url
from qualiclip_metric.streaming.partial import PartialFile, exclusive_lock
from qualiclip_metric.streaming.rows import Layout, Row


class Output(Protocol):
    """Takes rows; knows which images have one already."""

    @property
    def done(self) -> int:
        """How many rows there are already."""

    @property
    def failed(self) -> int:
        """How many of these have no score."""

    def missing(self, items: Iterable[Item]) -> Iterator[Item]:
        """Images that have no row yet."""

    def take(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows; a note for the user where it was stopped before all were there."""


@dataclass
class Whole:
    """Text that is written as a whole: on stdout, into a device, or a file that replaces another.

    Args:
        out: The file; None for stdout.
        write: The format's writer.
        layout: What the rows hold.
        order: Sorts the rows; None writes them as they come.
    """

    out: Path | None
    write: Writer
    layout: Layout
    order: Callable[[Row], float] | None = None
    done = 0
    failed = 0

    def missing(self, items: Iterable[Item]) -> Iterator[Item]:
        """All of them."""
        return iter(items)

    def take(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows. A file that was there is replaced only when all are there."""
        ordered = rows if self.order is None else sorted(rows, key=self.order)
        try:
            with self._opened() as file:
                self.write(ordered, self.layout, file)
                if stopped() and self.out and self.out.exists() and not is_special(self.out):
                    raise _LeftAsItWas
        except _LeftAsItWas:
            return f"{self.out}: left as it was, for this run is not complete"
        return ""

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        """Both take any bytes in a path."""
        if self.out is not None:
            with writing(self.out) as file:
                yield file
            return
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        with stdout_errors():
            yield sys.stdout


class _LeftAsItWas(Exception):
    """Ends the writing of a file that is not to be replaced."""


class Growing:
    """A csv or jsonl file that grows beside its name until it is complete.

    Args:
        file: The file.
        done: What has a row already.
    """

    def __init__(self, file: PartialFile, done: DoneKeys) -> None:
        self.file, self._done = file, done
        self.done, self.failed = done.total, file.failed

    def missing(self, items: Iterable[Item]) -> Iterator[Item]:
        """Images without a row."""
        written = self.file.form.written
        return (item for item in items if not self._done.take(written(item.key)))

    def take(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows, and put the file in its place when all are there."""
        try:
            for row in rows:
                self.file.add(row)
        finally:
            self.file.close()
        if stopped():
            return f"the rows are in {self.file.path}; the same command goes on"
        self.file.complete()
        return ""


class Parts:
    """A folder of Parquet parts.

    Args:
        folder: Path, or URL that fsspec knows.
        layout: What the rows hold.
    """

    def __init__(self, folder: str, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self._done = parts.done_keys(folder)
        self.done, self.failed = self._done.total, parts.count_failed(folder)

    def missing(self, items: Iterable[Item]) -> Iterator[Item]:
        """Images without a row."""
        return (item for item in items if not self._done.take(parts.text(item.key)))

    def take(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows, part by part."""
        writer = parts.PartWriter(self.folder, self.layout)
        try:
            for row in rows:
                writer.add(row)
        finally:
            writer.flush()
        return f"the rows are in {self.folder}; the same command goes on" if stopped() else ""


@contextmanager
def open_output(
    out: str | None,
    form: Format,
    layout: Layout,
    write: Writer,
    *,
    raw: bool = False,
    order: Callable[[Row], float] | None = None,
    overwrite: bool = False,
    retry_errors: bool = False,
) -> Iterator[Output]:
    """The place for rows, with what is there already.

    Args:
        out: File or folder; None for stdout.
        form: Its format.
        layout: What the rows hold.
        write: The format's writer, for what is written as a whole.
        raw: csv: whether fields that look like formulas stay as they are.
        order: Sorts the rows; None writes them as they come.
        overwrite: Whether to start afresh.
        retry_errors: Whether rows without a score are to be made again.

    Raises:
        OSError: Where it cannot be written.
        ValueError: When rows are there that cannot stand beside these, or another command writes.
    """
    if form is Format.parquet:
        assert out is not None
        with nullcontext() if is_url(out) else exclusive_lock(Path(out.rstrip("/"))):
            if overwrite:
                parts.clear(out)
            parts.check_folder(out, layout)
            if retry_errors:
                parts.drop_failed(out)
            yield Parts(out, layout)
        return
    lines = lines_of(form, layout, raw)
    if out is None or lines is None or order is not None or is_special(out):
        yield Whole(None if out is None else Path(out), write, layout, order)
        return
    file = PartialFile(Path(out), lines)
    with exclusive_lock(file.out):
        yield Growing(file, file.open(overwrite=overwrite, retry_errors=retry_errors))


def check_output(out: str | None, form: Format) -> None:
    """Find out whether results could be written, before the work for them is done.

    Args:
        out: File or folder; None for stdout.
        form: Its format.

    Raises:
        OSError: Where they cannot.
    """
    if out is None or (form is Format.parquet and is_url(out)):
        return
    if form is not Format.parquet:
        try:
            check_writable(out)
        except IsADirectoryError as err:
            raise IsADirectoryError(f"{err}; {out.rstrip('/')}/ gets Parquet parts") from err
        return
    folder = Path(out)
    if not folder.parent.is_dir():
        raise NotADirectoryError(f"there is no folder {folder.parent}")
    folder.mkdir(exist_ok=True)
    check_writable(folder / "part")
