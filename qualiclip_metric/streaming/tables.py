"""Tables that name images, or hold them: csv, jsonl, Parquet."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.streaming.items import SCALE_CURE, Item, item_for, opened

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "path", "key")
"""Columns that have the images, or say where they are, unless told: the first one there is."""
KEY_COLUMNS = ("key", "path")
"""Columns of text that name an image whose bytes are in the table."""
PARQUET_ROWS = 16
"""Rows that are read at once of a table that holds images."""

Columns = Mapping[str, Any]
"""Column -> its pyarrow type; None for text, as csv and jsonl have it."""


@dataclass(frozen=True)
class Table:
    """A table and the column of it that has the images.

    Args:
        name: Path or URL.
        column: The column that has the images.
        columns: Columns that are passed through.
        items: What it holds.
        count: How many rows it has.
    """

    name: str
    column: str
    columns: Columns
    items: Callable[[], Iterator[Item]]
    count: Callable[[], int]


def open_table(name: str, column: str | None = None, root: str = "") -> Table:
    """Look at a table's columns.

    Args:
        name: Path or URL of a csv, jsonl or Parquet file.
        column: The column that has the paths, URLs or (in Parquet) images; unless told the first
            of `IMAGE_COLUMNS`.
        root: Folder or URL that relative paths are below; the current folder if empty.

    Raises:
        ValueError: When it cannot be read, has no such column, or a package is missing.
    """
    try:
        return OPENERS[suffix(name)](name, column, root)
    except (OSError, csv.Error, UnicodeDecodeError) as err:
        reason = "no such file" if isinstance(err, FileNotFoundError) else str(err)
        raise ValueError(f"{name}: cannot be read as a table ({reason})") from err


def suffix(name: str) -> str:
    """Suffix in lower case, with the dot."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - URLs are no paths


def _image_column(name: str, there: list[str], wanted: str | None) -> str:
    for column in [wanted] if wanted else IMAGE_COLUMNS:
        if column in there:
            return column
    raise ValueError(
        f"{name}: expected a column {wanted or ', '.join(IMAGE_COLUMNS)}, got "
        f"{', '.join(there) or 'none'}; --column names the one with the images"
    )


# --- csv and jsonl ---------------------------------------------------------------------------


def _csv(name: str, column: str | None, root: str) -> Table:
    def rows() -> Iterator[dict[str, Any]]:
        with _text(name) as file:
            yield from csv.DictReader(file)

    with _text(name) as file:
        there = list(csv.DictReader(file).fieldnames or [])
    return _of_rows(name, there, column, root, rows)


def _jsonl(name: str, column: str | None, root: str) -> Table:
    def rows() -> Iterator[dict[str, Any]]:
        with _text(name) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _object(name, number, line)

    return _of_rows(name, list(next(rows(), {})), column, root, rows)


def _object(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as err:
        raise ValueError(f"{name}, line {number}: no JSON ({err})") from err
    if not isinstance(found, dict):
        raise ValueError(f"{name}, line {number}: expected a JSON object, got {line.strip()[:40]}")
    return found


def _text(name: str) -> TextIOWrapper:
    return TextIOWrapper(opened(name), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _of_rows(
    name: str,
    there: list[str],
    column: str | None,
    root: str,
    rows: Callable[[], Iterator[dict[str, Any]]],
) -> Table:
    column = _image_column(name, there, column)
    others = [one for one in there if one != column]

    def items() -> Iterator[Item]:
        for number, row in enumerate(rows()):
            columns = {one: row.get(one) for one in others}
            yield _named(name, number, row.get(column), root, columns)

    return Table(name, column, dict.fromkeys(others), items, lambda: sum(1 for _ in rows()))


def _named(name: str, number: int, path: Any, root: str, columns: Mapping[str, Any]) -> Item:
    if isinstance(path, str) and path:
        return item_for(path, root, columns)
    return Item(f"{name}#{number}", None, columns, "the table names no image in this row")


# --- Parquet ---------------------------------------------------------------------------------


def _parquet(name: str, column: str | None, root: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise ValueError(f"{name}: Parquet needs pyarrow: {SCALE_CURE}") from err

    try:
        with opened(name) as file:
            form, count = pq.read_schema(file), pq.read_metadata(file).num_rows
    except pa.ArrowInvalid as err:
        raise ValueError(f"{name}: no Parquet file ({err})") from err
    column = _image_column(name, form.names, column)
    holds = _holds_images(form.field(column).type)
    keys = [one for one in KEY_COLUMNS if one in form.names and one != column]
    key = next((one for one in keys if pa.types.is_string(form.field(one).type)), None)
    taken = {column, key} if holds else {column}
    columns = {field.name: field.type for field in form if field.name not in taken}

    def items() -> Iterator[Item]:
        number = 0
        with opened(name) as file:
            # as it goes: a whole row group of images can be gigabytes
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**16)
            for batch in table.iter_batches(PARQUET_ROWS if holds else 1024):
                for row in batch.to_pylist():
                    rest = {one: row[one] for one in columns}
                    if holds:
                        there = row.get(key) if key else None
                        yield _held(there or f"{name}#{number}", row[column], rest)
                    else:
                        yield _named(name, number, row[column], root, rest)
                    number += 1

    return Table(name, column, columns, items, lambda: count)


def _holds_images(kind: "pa.DataType") -> bool:
    """Whether a column has bytes, bare or beside their path as the `datasets` library has them."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _held(key: str, value: Any, columns: Mapping[str, Any]) -> Item:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        return Item(key, None, columns, "the table holds no image in this row")
    return Item(key, Encoded(key, content), columns)


OPENERS: dict[str, Callable[[str, str | None, str], Table]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""What reads a table, by its file's suffix."""
