"""Rows as lines of text, csv and jsonl, written and read back.

A path is data, whatever is in it: each format escapes what its readers would trip over.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from qualiclip_metric.signature import from_string, to_string
from qualiclip_metric.streaming.rows import BASE, DIAGNOSIS, Layout, Row

DIGITS = 6
"""Decimals of a score in text: where fp32 stops being the same on every machine."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that make a spreadsheet take a cell for a formula."""


class Written(NamedTuple):
    """What a line says of its image.

    Args:
        key: As it is written.
        failed: Whether there is no score.
        signature: What the score depends on.
    """

    key: str
    failed: bool
    signature: str


class Lines(Protocol):
    """A format of one row a line (or more, where a field has line ends)."""

    @property
    def layout(self) -> Layout:
        """What the rows hold."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns; empty where each line has its own."""

    @property
    def header(self) -> str:
        """What comes before the first row."""

    def line(self, row: Row) -> str:
        """A row, with its line end."""

    def written(self, key: str) -> str:
        """A key as it is read back."""

    def read(self, line: str) -> Written:
        """What a line says.

        Raises:
            ValueError: When it is no row of this format.
        """

    def is_whole(self, text: bytes) -> bool:
        """Whether this, which ends in a line end, ends at the end of a row."""


@dataclass(frozen=True)
class CsvLines:
    """csv: `path,score,error,width,height`, what was asked for, the table's columns, `signature`.

    Args:
        layout: What the rows hold.
        raw: Whether fields are written as they are. One that a spreadsheet would take for a
            formula otherwise gets an apostrophe before it.
    """

    layout: Layout
    raw: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        asked = (*(DIAGNOSIS if self.layout.diagnosed else ()), *self.layout.pairs)
        return ("path", *BASE[1:], *asked, *self.layout.columns, "signature")

    @property
    def header(self) -> str:
        """The names of the columns."""
        return csv_line(self.columns)

    def line(self, row: Row) -> str:
        """A row; an empty field where there is no value."""
        values = {**row.as_dict(self.layout.pairs), "path": row.key}
        values["signature"] = self.layout.signature
        return csv_line([self._field(values.get(name)) for name in self.columns])

    def written(self, key: str) -> str:
        """A key with its apostrophe, if it gets one."""
        return self._field(key)

    def read(self, line: str) -> Written:
        """What a line says."""
        fields = next(csv.reader([line]), [])
        if len(fields) != len(self.columns):
            raise ValueError(f"expected {len(self.columns)} fields, got {line.strip()[:60]!r}")
        return Written(fields[0], not fields[1], fields[-1])

    def is_whole(self, text: bytes) -> bool:
        """Whether no quote is open."""
        return text.count(b'"') % 2 == 0

    def _field(self, value: object) -> str:
        if isinstance(value, float):
            return f"{value:.{DIGITS}f}"
        if isinstance(value, dict | list):
            return json.dumps(value, default=str)
        text = "" if value is None else str(value)
        return f"'{text}" if not self.raw and text.startswith(FORMULA) else text


@dataclass(frozen=True)
class JsonLines:
    """jsonl: an object a line, each with the signature, so that files may be joined.

    Args:
        layout: What the rows hold.
    """

    layout: Layout
    columns: ClassVar[Sequence[str]] = ()
    header: ClassVar[str] = ""
    parts: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", from_string(self.layout.signature))

    def line(self, row: Row) -> str:
        """A row."""
        held = {**as_object(row, self.layout.pairs), "signature": self.parts}
        return json.dumps(held, default=str) + "\n"

    def written(self, key: str) -> str:
        """A key as it is."""
        return key

    def read(self, line: str) -> Written:
        """What a line says."""
        try:
            found = json.loads(line)
            signature = found["signature"]
            text = signature if isinstance(signature, str) else to_string(signature)
            return Written(found["path"], found["score"] is None, text)
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(f"expected a row of scores, got {line.strip()[:60]!r}") from err

    def is_whole(self, text: bytes) -> bool:
        """Always: JSON escapes line ends."""
        return True


def as_object(row: Row, pairs: Sequence[str] = ()) -> dict[str, Any]:
    """A row for JSON.

    Args:
        row: The row.
        pairs: Names of the antonym pairs.

    Returns:
        `path`, `score`, `error`, `width`, `height`; `fault` and `faults` of a diagnosis; `pairs`
        by name; the columns that are passed through.
    """
    held: dict[str, Any] = {
        "path": row.key,
        "score": None if row.score is None else round(row.score, DIGITS),
        "error": row.error,
        "width": row.width,
        "height": row.height,
    }
    if row.faults:
        held["fault"] = row.fault
        held["faults"] = {name: round(share, DIGITS) for name, share in row.faults.items()}
    if row.pairs:
        held["pairs"] = {
            name: round(share, DIGITS) for name, share in zip(pairs, row.pairs, strict=True)
        }
    return {**held, **row.columns}


def csv_line(fields: Sequence[str]) -> str:
    """A line that ends in LF. The writer quotes a bare CR only where CR is in its line ends."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n") + "\n"


def whole_rows(path: Path, form: Lines) -> Iterator[tuple[str, int]]:
    """Rows of a file, as text; one that was cut off at its end is left out.

    Args:
        path: The file.
        form: Its format.

    Yields:
        The row with its line end, the header first where the format has one; and the place in the
        file, in bytes, where it ends.
    """
    end, held = 0, b""
    with path.open("rb") as file:
        for line in file:
            held += line
            if line.endswith(b"\n") and form.is_whole(held):
                end += len(held)
                yield held.decode("utf-8", "surrogateescape"), end
                held = b""
