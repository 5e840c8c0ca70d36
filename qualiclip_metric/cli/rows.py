"""Rows as a command shows or writes them: table, csv, json, jsonl, Parquet parts."""

import heapq
import json
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TextIO

from qualiclip_metric.cli.terminal import printable
from qualiclip_metric.signature import from_string
from qualiclip_metric.streaming.lines import CsvLines, JsonLines, Lines, as_object
from qualiclip_metric.streaming.rows import Layout, Row

WORST = 3
"""Images that a table names at its end."""


def write_table(rows: Iterable[Row], layout: Layout, out: TextIO) -> None:
    """Write score and path, one image a line, then count, mean and the worst.

    Args:
        rows: What to write; control characters are escaped.
        layout: Not used: a table is for people.
        out: Open file.
    """
    out.write(f"{'score':>6}  image\n")
    count, failed, total = 0, 0, 0.0
    worst: list[tuple[float, int, str]] = []
    for row in rows:
        path = printable(row.key)
        if row.score is None:
            failed += 1
            out.write(f"{'-':>6}  {path}  ({printable(row.error)})\n")
            continue
        fault = f"  ({_likeliest(row)})" if row.faults else ""
        out.write(f"{row.score:6.4f}  {path}{fault}\n")
        count, total = count + 1, total + row.score
        heapq.heappush(worst, (-row.score, -count, path))
        if len(worst) > WORST:
            heapq.heappop(worst)
    if count > 1:
        missing = f", {failed} failed" if failed else ""
        out.write(f"\n{total / count:6.4f}  mean of {count} images{missing}\n")
    if count > WORST:
        for negative, _, path in sorted(worst, reverse=True):
            out.write(f"{-negative:6.4f}  among the worst {WORST}: {path}\n")


def _likeliest(row: Row) -> str:
    """The diagnosis in two words: `blur 87%`."""
    name = row.fault or ""
    return f"{'no fault' if name == 'none' else name} {row.faults[name]:.0%}"


def write_json(rows: Iterable[Row], layout: Layout, out: TextIO) -> None:
    """Write one object with the signature, part by part, and the images.

    Args:
        rows: What to write.
        layout: What they hold.
        out: Open file.
    """
    images = [as_object(row, layout.pairs) for row in rows]
    held = {"signature": from_string(layout.signature), "images": images}
    json.dump(held, out, indent=2, default=str)
    out.write("\n")


class Format(str, Enum):
    """Names of the formats, as the command line takes them."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"


Writer = Callable[[Iterable[Row], Layout, TextIO], None]

HOLDS_SIGNATURE = frozenset({Format.csv, Format.json, Format.jsonl, Format.parquet})
"""Formats that hold the signature themselves."""

SUFFIXES = {".csv": Format.csv, ".json": Format.json, ".jsonl": Format.jsonl, ".txt": Format.table}


def lines_of(form: Format, layout: Layout, raw: bool = False) -> Lines | None:
    """How rows are lines in a format.

    Args:
        form: The format.
        layout: What the rows hold.
        raw: csv: whether fields that look like formulas stay as they are.

    Returns:
        None for formats whose rows cannot be written one after the other, or not read back.
    """
    if form is Format.csv:
        return CsvLines(layout, raw)
    return JsonLines(layout) if form is Format.jsonl else None


def writer_of(form: Format, raw: bool = False) -> Writer:
    """What writes a format into an open file.

    Args:
        form: The format; any but Parquet.
        raw: csv: whether fields that look like formulas stay as they are.
    """
    if form is Format.table:
        return write_table
    if form is Format.json:
        return write_json

    def write(rows: Iterable[Row], layout: Layout, out: TextIO) -> None:
        lines = lines_of(form, layout, raw)
        assert lines is not None, form
        out.write(lines.header)
        for row in rows:
            out.write(lines.line(row))

    return write


def format_for(out: str | None, given: Format | None) -> Format:
    """The format of a file: the one given, or that of its name.

    Args:
        out: File for the results, a folder if it ends in a slash; None for stdout.
        given: What the user asked for, if anything.

    Returns:
        The table where neither says anything.

    Raises:
        ValueError: When the two contradict each other, or there is no format of the name's suffix.
    """
    if out is None:
        if given is Format.parquet:
            raise ValueError("--format parquet: expected --out FOLDER/ for the parts")
        return given or Format.table
    suffix = Path(out).suffix
    by_name = SUFFIXES.get(suffix.lower())
    if out.endswith("/") or "://" in out:
        by_name = Format.parquet
    elif given is None and by_name is None and suffix:
        raise ValueError(
            f"--out {out}: expected a name that ends in {', '.join(SUFFIXES)}, a folder for Parquet"
            f" parts ({out.removesuffix(suffix)}/), or --format for another name; got {suffix}"
        )
    if given is not None and by_name not in (None, given):
        raise ValueError(
            f"--format {given.value} contradicts --out {out}: drop --format for {by_name.value}, "
            "or choose another name"
        )
    return given or by_name or Format.table
