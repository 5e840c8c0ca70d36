"""Rows as text: csv, jsonl, json, and a table for people.

A path may hold any character: each format escapes what its readers would misread.
"""

import csv
import heapq
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qualiclip_metric.files import printable
from qualiclip_metric.prompts import likeliest_fault
from qualiclip_metric.scoring.columns import Layout, Row
from qualiclip_metric.scoring.options import DIGITS, Format
from qualiclip_metric.signature import from_string, to_string

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet take a cell for a formula."""
BOM = "\ufeff"
WORST = 3
"""Images that a table names at its end."""


def no_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


class ParsedRow(NamedTuple):
    """Values of a written row that resuming needs."""

    key: str  # as it is written
    score: float | None
    signature: str


class CsvLines:
    """csv: the layout's columns, then `signature`.

    A field that a spreadsheet would take for a formula gets an apostrophe before it, unless `raw`.
    With `bom` the file begins with a byte order mark, by which Excel recognises UTF-8.
    """

    def __init__(self, layout: Layout, raw: bool = False, bom: bool = False) -> None:
        self.columns, self.signature, self.raw = layout.flat, layout.signature, raw
        self.names = [*(column.name for column in self.columns), "signature"]
        self.header = BOM * bom + csv_line(self.names)
        self._key, self._score = self.names.index("path"), self.names.index("score")

    def line(self, row: Row) -> str:
        """Format a row with its line end; an empty field if there is no value."""
        fields = [self._field(column.value(row), column.digits) for column in self.columns]
        return csv_line([*fields, self._field(self.signature)])

    def written_key(self, key: str) -> str:
        """A key as `parse` gives it back."""
        return self._field(key)

    def parse(self, line: str) -> ParsedRow:
        """Parse one row; ValueError if it is not a row of this format."""
        from qualiclip_metric.sources.delimited import csv_reader

        fields: list[str] = next(csv_reader([line]), [])
        if len(fields) != len(self.names):
            raise ValueError(f"expected {len(self.names)} fields, got {line.strip()[:60]!r}")
        score = float(fields[self._score]) if fields[self._score] else None
        return ParsedRow(fields[self._key], score, fields[-1])

    def is_whole(self, text: bytes) -> bool:
        """Whether the end of this line is also the end of a row: no quote is open."""
        return text.count(b'"') % 2 == 0

    def _field(self, value: object, digits: int = DIGITS) -> str:
        if isinstance(value, float):
            return f"{value:.{digits}f}"
        if isinstance(value, dict | list | bool):
            return json.dumps(value, default=str)
        text = "" if value is None else str(value)
        return text if self.raw else no_formula(text)


class JsonLines:
    """jsonl: an object a line, each with the signature, so that files can be joined."""

    header = ""
    names: Sequence[str] = ()

    def __init__(self, layout: Layout) -> None:
        self.layout, self.signature = layout, from_string(layout.signature)

    def line(self, row: Row) -> str:
        """Format a row."""
        held = {**as_object(row, self.layout), "signature": self.signature}
        return json.dumps(held, default=str) + "\n"

    def written_key(self, key: str) -> str:
        """The key as it is."""
        return key

    def parse(self, line: str) -> ParsedRow:
        """Parse one row."""
        try:
            found = json.loads(line)
            signature = found["signature"]
            text = signature if isinstance(signature, str) else to_string(signature)
            return ParsedRow(found["path"], found["score"], text)
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(f"expected a row of scores, got {line.strip()[:60]!r}") from err

    def is_whole(self, text: bytes) -> bool:
        """Always: JSON escapes line ends."""
        return True


Lines = CsvLines | JsonLines
"""The formats that can be resumed: their rows can be read back one by one."""


def lines_for(form: Format, layout: Layout, raw: bool = False, bom: bool = False) -> Lines | None:
    """The format's lines; None if it cannot be resumed."""
    if form is Format.csv:
        return CsvLines(layout, raw, bom)
    return JsonLines(layout) if form is Format.jsonl else None


def render(
    rows: Iterable[Row], form: Format, layout: Layout, raw: bool = False, bom: bool = False
) -> Iterator[str]:
    """Format rows as text, as they come; json waits for all rows. `raw`, `bom` as in `CsvLines`."""
    if lines := lines_for(form, layout, raw, bom):
        yield lines.header
        yield from map(lines.line, rows)
    elif form is Format.json:
        images = [as_object(row, layout) for row in rows]
        whole = {"signature": from_string(layout.signature), "images": images}
        yield json.dumps(whole, indent=2, default=str) + "\n"
    else:
        yield from _table(rows, layout)


def as_object(row: Row, layout: Layout) -> dict[str, Any]:
    """Convert a row for JSON; optional columns are left out if they have no value."""
    held: dict[str, Any] = {}
    for column in layout.columns:
        value = column.value(row) if column.in_json else None
        if column.in_json and not (column.option and (value is None or value == {})):
            held[column.name] = _rounded(value, column.digits)
    return {**held, **row.columns}


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one, digits) for name, one in value.items()}
    return round(value, digits) if isinstance(value, float) else value


def _table(rows: Iterable[Row], layout: Layout) -> Iterator[str]:
    """Score, percentile and path, one image a line, then count, mean and the worst."""
    with_percentile = any(column.name == "percentile" for column in layout.columns)
    yield f"{'score':>6}  {'percentile  ' if with_percentile else ''}image\n"
    count, failed, total = 0, 0, 0.0
    worst: list[tuple[float, int, str]] = []  # a heap of the lowest scores so far
    for row in rows:
        path = printable(row.key)
        if row.score is None:
            failed += 1
            gap = f"{'-':>10}  " if with_percentile else ""
            yield f"{'-':>6}  {gap}{path}  ({printable(row.error)})\n"
            continue
        fault = f"  ({likeliest_fault(row.faults)})" if row.faults else ""
        percentile = f"{row.percentile:10.1f}  " if row.percentile is not None else ""
        below = "  (below the bar)" if row.keep is False else ""
        yield f"{row.score:6.4f}  {percentile}{path}{fault}{below}\n"
        count, total = count + 1, total + row.score
        heapq.heappush(worst, (-row.score, -count, path))
        if len(worst) > WORST:
            heapq.heappop(worst)
    if count > 1:
        missing = f", {failed} failed" if failed else ""
        yield f"\n{total / count:6.4f}  mean of {count} images{missing}\n"
    if count > WORST:
        for negative, _, path in sorted(worst, reverse=True):
            yield f"{-negative:6.4f}  among the worst {WORST}: {path}\n"


def csv_line(fields: Sequence[str]) -> str:
    """Format a line that ends in LF.

    The csv writer quotes a lone CR only if CR is part of its line ends, hence the detour.
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n") + "\n"


def whole_rows(path: Path, lines: Lines) -> Iterator[tuple[str, int]]:
    """Read the rows of a file as text; a last row that was cut off is left out.

    Yields each row with its line end, the header first if the format has one, and the position in
    the file, in bytes, where it ends.
    """
    end, held = 0, b""
    with path.open("rb") as file:
        for line in file:
            held += line
            if line.endswith(b"\n") and lines.is_whole(held):
                end += len(held)
                yield held.decode("utf-8", "surrogateescape"), end
                held = b""
