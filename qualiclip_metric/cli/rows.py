"""Results as text: table, csv, json, jsonl.

A path is data, whatever is in it: each format escapes what its readers would trip over.
"""

import csv
import json
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, TextIO

from qualiclip_metric.cli.terminal import printable

if TYPE_CHECKING:
    from qualiclip_metric.scoring import Result

DIGITS = 6
"""Decimals of a score in csv and json: where fp32 stops being the same on every machine."""


def write_table(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """Score and path, one image a line; control characters escaped."""
    out.write(f"{'score':>6}  image\n")
    for result in results:
        path = printable(result.path)
        if result.score is None:
            out.write(f"{'-':>6}  {path}  ({printable(result.error)})\n")
        else:
            out.write(f"{result.score:6.4f}  {path}\n")


def write_csv(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """Columns `path,score,error`, an empty field where there is none."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("path", "score", "error"))
    for result in results:
        score = "" if result.score is None else f"{result.score:.{DIGITS}f}"
        writer.writerow((result.path, score, result.error or ""))


def write_json(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """One object with the signature and the images."""
    rows = [_row(result) for result in results]
    json.dump({"signature": signature, "images": rows}, out, indent=2)
    out.write("\n")


def write_jsonl(results: "Iterable[Result]", signature: str, out: TextIO) -> None:
    """One object a line, each with the signature: lines of several runs may be joined."""
    for result in results:
        out.write(json.dumps({**_row(result), "signature": signature}) + "\n")


def _row(result: "Result") -> dict[str, str | float | None]:
    score = None if result.score is None else round(result.score, DIGITS)
    return {"path": str(result.path), "score": score, "error": result.error}


class Format(str, Enum):
    """Names of the formats, as the command line takes them."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


WRITERS: dict[Format, Callable[["Iterable[Result]", str, TextIO], None]] = {
    Format.table: write_table,
    Format.csv: write_csv,
    Format.json: write_json,
    Format.jsonl: write_jsonl,
}
"""What writes each format: results, signature and the open file."""

HOLDS_SIGNATURE = frozenset({Format.json, Format.jsonl})
"""Formats that hold the signature themselves."""
