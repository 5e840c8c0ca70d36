"""Where rows are written, and which images have a row already.

| `--out` | class | resumable |
|---|---|---|
| none, a device | `Stream` | no |
| json, txt, one Parquet file | `WholeFile` | no; an interrupted run leaves `NAME.part` |
| csv, jsonl | `GrowingFile` | yes, from `NAME.part` |
| FOLDER/ or URL | `PartsFolder` | yes |
"""

import codecs
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from qualiclip_metric.extras import require
from qualiclip_metric.files import (
    atomic_write,
    check_writable,
    exclusive_lock,
    is_special,
    writing,
)
from qualiclip_metric.scoring.columns import Layout, Row
from qualiclip_metric.scoring.options import Format, OutputOptions
from qualiclip_metric.scoring.text_formats import (
    BOM,
    Lines,
    ParsedRow,
    lines_for,
    render,
    whole_rows,
)
from qualiclip_metric.sources.item import Item, is_url

FLUSH_SECONDS = 1.0
"""Rows are flushed this often, so that a kill loses no more of them."""


def check_output(options: OutputOptions) -> None:
    """Raise OSError unless results can be written, ImportError if a package is missing."""
    if options.format is Format.parquet:
        for module in ("pyarrow.parquet", "fsspec"):
            require(module, "scale", "Parquet")
    if options.out is None or is_url(options.out):
        return
    if not options.to_parts:
        try:
            check_writable(options.out)
        except IsADirectoryError as err:
            parts = f"{options.out.rstrip('/')}/"
            raise IsADirectoryError(f"{err}; {parts} gets Parquet parts") from err
        return
    folder = Path(options.out)
    if not folder.parent.is_dir():
        raise NotADirectoryError(f"there is no folder {folder.parent}")
    folder.mkdir(exist_ok=True)
    check_writable(folder / "part")


# --- keys with rows --------------------------------------------------------------------------


class DoneKeys:
    """Keys that have rows, as digests of 16 bytes, so that millions fit in memory.

    `rows` are key and score of each row; `keeps` tells whether a score reaches the bar, as
    `Layout.keeps`.
    """

    def __init__(
        self,
        rows: Iterable[tuple[str, float | None]] = (),
        keeps: Callable[[float], bool | None] = lambda _score: None,
    ) -> None:
        self.failed = self.below = 0

        def digests() -> Iterator[bytes]:
            for key, score in rows:
                self.failed += score is None
                self.below += score is not None and keeps(score) is False
                yield _digest(key)

        found = np.fromiter(digests(), dtype="S16")
        self._digests, self._rows = np.unique(found, return_counts=True)
        self.total = len(found)

    def missing(
        self, items: Iterable[Item], written_key: Callable[[str], str] = str
    ) -> Iterator[Item]:
        """Images that have no row: of a key with n rows, those after the first n.

        `written_key` turns a key into the form in which the rows have it.
        """
        if not self.total:
            yield from items
            return
        passed = np.zeros(len(self._rows), np.int32)  # calloc: only pages that are used are there
        for item in items:
            place = self._place(written_key(item.key))
            if place is None or passed[place] == self._rows[place]:
                yield item
            else:
                passed[place] += 1

    def _place(self, key: str) -> int | None:
        digest = np.array([_digest(key)], "S16")
        place = int(np.searchsorted(self._digests, digest)[0])
        there = place < len(self._digests) and self._digests[place] == digest[0]
        return place if there else None


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()


# --- outputs ---------------------------------------------------------------------------------


class Output(ABC):
    """Writes rows, and knows which images have one already."""

    written_key: Callable[[str], str] = staticmethod(str)
    """Turn a key into the form in which it is read back from the results."""

    def __init__(self, options: OutputOptions, layout: Layout) -> None:
        self.options, self.layout = options, layout
        self.done = DoneKeys()

    def missing(self, items: Iterable[Item]) -> Iterator[Item]:
        """Images that have no row yet."""
        return self.done.missing(items, self.written_key)

    @abstractmethod
    def write(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows as they come; return a note for the user if the run was `stopped`."""


@contextmanager
def open_output(options: OutputOptions, layout: Layout) -> Iterator[Output]:
    """Open the place for rows, and read which are there.

    Raises OSError if it cannot be written, ValueError if it holds rows of another signature or with
    other columns, or if another command is writing to it.
    """
    out = options.out
    if options.to_parts:
        assert out is not None
        with nullcontext() if is_url(out) else exclusive_lock(Path(out.rstrip("/"))):
            yield PartsFolder(options, layout)
        return
    lines = lines_for(options.format, layout, options.raw, options.bom)
    if out is None or is_special(out):
        yield Stream(options, layout)
    elif lines is None:
        yield WholeFile(options, layout)
    else:
        with exclusive_lock(Path(os.path.realpath(out))):
            yield GrowingFile(options, layout, lines)


def _best_first(row: Row | ParsedRow) -> float:
    return float("inf") if row.score is None else -row.score


class Stream(Output):
    """Text on stdout, a device or a named pipe."""

    def write(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows as they come; all at the end if they are sorted, or json."""
        options = self.options
        ordered = sorted(rows, key=_best_first) if options.sort else rows
        texts = render(ordered, options.format, self.layout, options.raw, options.bom)
        if options.out is not None:
            with writing(options.out) as file:
                file.writelines(texts)
            return ""
        if isinstance(sys.stdout, TextIOWrapper):
            # UTF-8 can hold any bytes of a path; other encodings escape the characters they lack
            in_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
            sys.stdout.reconfigure(errors="surrogateescape" if in_utf8 else "backslashreplace")
        for text in texts:
            sys.stdout.write(text)
        return ""


class WholeFile(Output):
    """A file that is written when all rows are there."""

    def write(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write the file; after an interruption write `NAME.part` in its place."""
        options, held = self.options, list(rows)
        assert options.out is not None
        if options.sort:
            held.sort(key=_best_first)
        partial = partial_path(Path(options.out))
        path = partial if stopped() else Path(options.out)
        if options.format is Format.parquet:
            from qualiclip_metric.scoring import parquet

            parquet.write_file(str(path), parquet.to_table(held, self.layout))
        else:
            with writing(path) as file:
                file.writelines(render(held, options.format, self.layout))
        if stopped():
            return f"the rows so far are in {path}; the same command starts afresh"
        partial.unlink(missing_ok=True)
        return ""


def partial_path(out: Path) -> Path:
    """The name under which the rows of a file are kept until all are there."""
    out = Path(os.path.realpath(out))
    return out.with_name(f"{out.name}.part")


class GrowingFile(Output):
    """A csv or jsonl file that grows as `NAME.part`, and replaces NAME when it is complete.

    Rows in `NAME.part` count as done when the command runs again; with `retry_errors`, those of the
    complete file count if there is no `NAME.part`. Raises OtherRowsError if rows are of another
    signature or have other columns, ValueError if a file is no file of rows.
    """

    def __init__(self, options: OutputOptions, layout: Layout, lines: Lines) -> None:
        super().__init__(options, layout)
        assert options.out is not None
        self.lines, self.out = lines, Path(os.path.realpath(options.out))
        self.written_key = lines.written_key
        self.path = partial_path(self.out)
        self._end = 0
        if options.overwrite:
            self.path.unlink(missing_ok=True)
        elif options.retry_errors:
            source = self.path if self.path.exists() else self.out
            if source.exists():
                self._copy_good(source)
        if self.path.exists():
            rows = ((row.key, row.score) for row, _ in self._parsed(self.path) if row)
            self.done = DoneKeys(rows, layout.keeps)
            os.truncate(self.path, self._end)

    def write(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows, and replace the file when all are there."""
        flushed = time.monotonic()
        # surrogateescape: a path may hold any bytes; newline="": line ends stay as they are
        with self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if not file.tell():
                file.write(self.lines.header)
            for row in rows:
                file.write(self.lines.line(row))
                if time.monotonic() - flushed >= FLUSH_SECONDS:
                    file.flush()
                    flushed = time.monotonic()
        if stopped():
            return f"the rows are in {self.path}; the same command goes on"
        if self.options.sort:
            self._sort()
        self.path.replace(self.out)
        return ""

    def _parsed(self, path: Path) -> Iterator[tuple[ParsedRow | None, str]]:
        """Each row (None for the header) and its text; `_end` is where the last whole one ends."""
        self._end, names = 0, list(self.lines.names)
        for text, end in whole_rows(path, self.lines):
            row = None
            if self.lines.header and not self._end:
                text_there = text.removeprefix(BOM)
                same = text_there == self.lines.header.removeprefix(BOM)
                held = names if same else text_there.rstrip("\n").split(",")
                self.layout.check_same(path, self.layout.signature, held[:-1])
            else:
                try:
                    row = self.lines.parse(text)
                except ValueError as err:
                    raise ValueError(f"{path}: {err}; --overwrite starts afresh") from err
                self.layout.check_same(path, row.signature)
            self._end = end
            yield row, text

    def _copy_good(self, source: Path) -> None:
        rows = self._parsed(source)
        self._replace(text for row, text in rows if row is None or row.score is not None)

    def _sort(self) -> None:
        rows = list(self._parsed(self.path))
        header = [text for row, text in rows if row is None]
        ordered = sorted((_best_first(row), n, text) for n, (row, text) in enumerate(rows) if row)
        self._replace([*header, *(text for *_, text in ordered)])

    def _replace(self, texts: Iterable[str]) -> None:
        with atomic_write(self.path) as scratch, scratch.open("wb") as file:
            file.writelines(text.encode("utf-8", "surrogateescape") for text in texts)


class PartsFolder(Output):
    """A folder of Parquet parts."""

    def __init__(self, options: OutputOptions, layout: Layout) -> None:
        from qualiclip_metric.scoring import parquet

        super().__init__(options, layout)
        assert options.out is not None
        self.folder, self.written_key = options.out, parquet.valid_text
        parquet.prepare_folder(
            self.folder, layout, overwrite=options.overwrite, retry_errors=options.retry_errors
        )
        self.done = DoneKeys(parquet.read_rows(self.folder), layout.keeps)

    def write(self, rows: Iterable[Row], stopped: Callable[[], bool]) -> str:
        """Write rows, part by part."""
        from qualiclip_metric.scoring.parquet import PartWriter

        writer = PartWriter(self.folder, self.layout)
        try:
            for row in rows:
                writer.add(row)
        finally:
            writer.flush()
        return f"the rows are in {self.folder}; the same command goes on" if stopped() else ""
