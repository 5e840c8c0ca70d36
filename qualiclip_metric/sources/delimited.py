"""Delimited text (csv, tsv): its delimiter, its encoding, long fields, damaged rows."""

import codecs
import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain
from typing import Any

from qualiclip_metric.sources.item import file_name, open_binary

DELIMITERS = ",;\t|"
"""Delimiters that are recognised: the most frequent one of the first line is taken."""
FIELD_CHARACTERS = 2**27
"""Longest field; a quote that is not closed makes one field of all that follows."""
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def csv_reader(lines: Iterable[str], delimiter: str = ",") -> Any:
    """Python's csv reader for long fields; an unclosed quote is a `csv.Error`."""
    csv.field_size_limit(FIELD_CHARACTERS)
    return csv.reader(lines, delimiter=delimiter, strict=True)


@contextmanager
def open_text(name: str) -> Iterator[TextIOWrapper]:
    """Open a path or URL as text: UTF-16 by its byte order mark or zeros, otherwise UTF-8.

    Bytes that are not UTF-8 are kept, for they may name a file.
    """
    with open_binary(name) as file:
        head = file.read(2)
    encoding = _BOMS.get(head, "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in head:  # ASCII characters of two bytes
        encoding = "utf-16-le" if head[0] else "utf-16-be"
    with open_binary(name) as file:
        yield TextIOWrapper(file, encoding, errors="surrogateescape", newline="")


def read_rows(name: str) -> Iterator[list[str] | str]:
    """Read the rows of a path or URL, the header first; empty lines are left out.

    Yields the fields, or the reason why a row cannot be read. The rows after it are read. In a file
    named `.tsv` tabs are the delimiter.
    """
    with open_text(name) as file:
        first = file.readline()
        found = max(DELIMITERS, key=first.count)
        delimiter = "\t" if file_name(name).endswith(".tsv") else found
        reader = csv_reader(chain([first], file), delimiter)
        width = 0
        while True:
            start = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as err:
                yield f"lines {start} to {reader.line_num}: {err}; is a quote not closed?"
                continue
            width = width or len(fields)
            if any(fields[width:]):
                yield (
                    f"line {start}: {len(fields)} fields, the first line has {width}; a field that "
                    f"holds {delimiter!r} needs quotes"
                )
            elif fields:
                yield fields[:width]
