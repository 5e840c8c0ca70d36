"""Results as text: table, csv, json, jsonl.

A path is data, whatever is in it: each format escapes what its readers would trip over.
"""

import csv
import heapq
import io
import json
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from qualiclip_metric.cli.terminal import printable
from qualiclip_metric.prompts import fault_in_words
from qualiclip_metric.signature import from_string

if TYPE_CHECKING:
    from qualiclip_metric.scoring import Result

DIGITS = 6
"""Decimals of a score in csv and json: where fp32 stops being the same on every machine."""
WORST = 3
"""Images that a table names at its end."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that make a spreadsheet take a cell for a formula."""


def write_table(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """Write score and path, one image a line, then count, mean and the worst.

    Args:
        results: What to write; control characters are escaped.
        signature: Not written.
        out: Open file.
    """
    out.write(f"{'score':>6}  image\n")
    count, failed, total = 0, 0, 0.0
    worst: list[tuple[float, int, str]] = []
    for result in results:
        path = printable(result.path)
        if result.score is None:
            failed += 1
            out.write(f"{'-':>6}  {path}  ({printable(result.error)})\n")
            continue
        fault = f"  ({_likeliest(result)})" if result.faults else ""
        out.write(f"{result.score:6.4f}  {path}{fault}\n")
        count, total = count + 1, total + result.score
        heapq.heappush(worst, (-result.score, -count, path))
        if len(worst) > WORST:
            heapq.heappop(worst)
    if count > 1:
        missing = f", {failed} failed" if failed else ""
        out.write(f"\n{total / count:6.4f}  mean of {count} images{missing}\n")
    if count > WORST:
        for negative, _, path in sorted(worst, reverse=True):
            out.write(f"{-negative:6.4f}  among the worst {WORST}: {path}\n")


def csv_writer(raw: bool = False, diagnosed: bool = False) -> "Writer":
    """What writes csv: columns `path,score,error`, an empty field where there is none.

    Args:
        raw: Write every field as it is. A field that a spreadsheet would take for a formula
            otherwise gets an apostrophe before it.
        diagnosed: Write the columns `fault,probability` too.
    """

    def field(value: object) -> str:
        text = str(value)
        return f"'{text}" if not raw and text.startswith(FORMULA) else text

    def write(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
        out.write("path,score,error" + (",fault,probability\n" if diagnosed else "\n"))
        for result in results:
            score = "" if result.score is None else f"{result.score:.{DIGITS}f}"
            cells = [field(result.path), score, field(result.error or "")]
            if diagnosed:
                found = result.fault or ""
                share = f"{result.faults[found]:.{DIGITS}f}" if found else ""
                cells += [found, share]
            out.write(_csv_line(*cells))

    return write


def _csv_line(*fields: str) -> str:
    """A line that ends in LF. The writer quotes a bare CR only where CR is in its line ends."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n") + "\n"


def write_json(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """Write one object with the signature, part by part, and the images.

    Args:
        results: What to write.
        signature: What the scores depend on.
        out: Open file.
    """
    rows = [_row(result) for result in results]
    json.dump({"signature": from_string(signature), "images": rows}, out, indent=2)
    out.write("\n")


def write_jsonl(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """Write one object a line, each with the signature: lines of several runs may be joined.

    Args:
        results: What to write.
        signature: What the scores depend on.
        out: Open file.
    """
    parts = from_string(signature)
    for result in results:
        out.write(json.dumps({**_row(result), "signature": parts}) + "\n")


def _row(result: "Result") -> dict[str, Any]:
    score = None if result.score is None else round(result.score, DIGITS)
    row: dict[str, Any] = {"path": str(result.path), "score": score, "error": result.error}
    if result.faults:
        row["fault"] = result.fault
        row["faults"] = {name: round(share, DIGITS) for name, share in result.faults.items()}
    return row


def _likeliest(result: "Result") -> str:
    """The diagnosis in two words: `blur 87%`."""
    name = result.fault or ""
    return fault_in_words(name, result.faults[name])


class Format(str, Enum):
    """Names of the formats, as the command line takes them."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


Writer = Callable[["Iterable[Result]", str, TextIO], None]
WRITERS: dict[Format, Writer] = {
    Format.table: write_table,
    Format.csv: csv_writer(),
    Format.json: write_json,
    Format.jsonl: write_jsonl,
}
"""What writes each format: results, signature and the open file."""

HOLDS_SIGNATURE = frozenset({Format.json, Format.jsonl})
"""Formats that hold the signature themselves."""

SUFFIXES = {".csv": Format.csv, ".json": Format.json, ".jsonl": Format.jsonl, ".txt": Format.table}


def format_for(out: Path | None, given: Format | None) -> Format:
    """The format of a file: the one given, or that of its suffix.

    Args:
        out: File for the results; None for stdout.
        given: What the user asked for, if anything.

    Returns:
        The table where neither says anything.

    Raises:
        ValueError: When the two contradict each other.
    """
    by_suffix = None if out is None else SUFFIXES.get(out.suffix.lower())
    if given is not None and by_suffix not in (None, given):
        raise ValueError(
            f"--format {given.value} contradicts the file {out}: drop --format for "
            f"{by_suffix.value}, or choose another suffix"
        )
    return given or by_suffix or Format.table
