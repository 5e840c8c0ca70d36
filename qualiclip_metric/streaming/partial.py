"""A file of results that grows row by row, under a name of its own until it is complete.

The rows of `scores.csv` are in `scores.csv.part` while they are being made, and what is there
counts as done when the command runs again. `scores.csv` itself is replaced by a complete file only.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from qualiclip_metric.files import atomic_write
from qualiclip_metric.streaming.done import DoneKeys
from qualiclip_metric.streaming.lines import Lines, Written, whole_rows
from qualiclip_metric.streaming.parts import refuse_others
from qualiclip_metric.streaming.rows import Row

FLUSH_SECONDS = 1.0
"""A kill costs no more rows than those of this time."""


class InUseError(ValueError):
    """Another command writes the same results."""


@contextmanager
def exclusive_lock(target: Path) -> Iterator[None]:
    """Keep others from writing the same results meanwhile.

    Args:
        target: File or folder of results.

    Raises:
        InUseError: When another command has claimed it.
        OSError: Where no file can be made beside it.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise InUseError(
            f"{target}: another command is writing it; wait, or choose another"
        ) from err
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


class PartialFile:
    """Rows for a file, beside it as `NAME.part` until all are there.

    Args:
        out: The file; of a link its target.
        form: Its format.
    """

    def __init__(self, out: Path, form: Lines) -> None:
        self.out = Path(os.path.realpath(out))
        self.path = self.out.with_name(f"{self.out.name}.part")
        self.form = form
        self._file: IO[str] | None = None
        self._flushed = time.monotonic()
        self.failed = 0
        """Rows without a score that were there already."""

    def open(self, *, overwrite: bool = False, retry_errors: bool = False) -> DoneKeys:
        """Begin, or go on where an earlier command was ended.

        Args:
            overwrite: Whether to start afresh whatever is there.
            retry_errors: Whether rows without a score do not count; then the complete file's rows
                count, too, where there is no partial one.

        Returns:
            What has a row already; images are asked for by `form.written(key)`.

        Raises:
            OtherRowsError: When the rows are of another signature or other columns.
            ValueError: When a file is no file of rows.
            OSError: Where it cannot be written.
        """
        if overwrite:
            self.path.unlink(missing_ok=True)
        if retry_errors and not overwrite:
            source = self.path if self.path.exists() else self.out
            if source.exists():
                self._copy_good(source)
        done = DoneKeys(self._keys())
        self._file = self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        if not self._file.tell():
            self._file.write(self.form.header)
        return done

    def add(self, row: Row) -> None:
        """Write a row."""
        assert self._file is not None
        self._file.write(self.form.line(row))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Leave the rows where they are; the same command goes on."""
        if self._file is not None:
            self._file.close()

    def complete(self) -> None:
        """Put the rows in the file's place."""
        self.close()
        self.path.replace(self.out)

    def _keys(self) -> Iterator[str]:
        """Keys of the rows that are there; what was cut off at the end is taken away."""
        if not self.path.exists():
            return
        end = 0
        for written, _, place in self._rows(self.path):
            end = place
            if written is not None:
                self.failed += written.failed
                yield written.key
        os.truncate(self.path, end)

    def _copy_good(self, source: Path) -> None:
        with atomic_write(self.path) as scratch, scratch.open("wb") as file:
            for written, text, _ in self._rows(source):
                if written is None or not written.failed:
                    file.write(text.encode("utf-8", "surrogateescape"))

    def _rows(self, path: Path) -> Iterator[tuple[Written | None, str, int]]:
        """What each row says (None for the header), its text, and where it ends."""
        first, columns = True, list(self.form.columns)
        signature = self.form.layout.signature
        for text, end in whole_rows(path, self.form):
            if first and self.form.header:
                held = text.rstrip("\n").split(",") if text != self.form.header else columns
                refuse_others(path, signature, signature, held, columns)
                yield None, text, end
            else:
                try:
                    written = self.form.read(text)
                except ValueError as err:
                    raise ValueError(f"{path}: {err}; --overwrite starts afresh") from err
                refuse_others(path, written.signature, signature, columns, columns)
                yield written, text, end
            first = False
