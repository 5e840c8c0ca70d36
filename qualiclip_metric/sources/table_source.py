"""Tables that name images, or hold them: csv, jsonl, Parquet."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.extras import require
from qualiclip_metric.sources.item import Item, item_for, open_binary

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "path", "key")
"""Columns of images or their paths; the first that is there is taken."""
KEY_COLUMNS = ("key", "path")
"""Text columns that name an image whose bytes are in the table."""
PARQUET_ROWS = 16
"""Rows that are read at once of a table that holds images."""


@dataclass(frozen=True)
class Table:
    """A table and its column of images.

    Args:
        name: Path or URL.
        columns: The other columns, with their pyarrow types; None for text.
        items: Reads its rows.
        count: How many rows it has.
        holds_images: Whether the images are in the table, not their paths.
    """

    name: str
    columns: Mapping[str, Any]
    items: Callable[[], Iterator[Item]]
    count: Callable[[], int]
    holds_images: bool = False


def open_table(name: str, column: str | None = None, root: str = "", prefix: str = "") -> Table:
    """Read a table's columns.

    Args:
        name: Path or URL of a csv, jsonl or Parquet file.
        column: The column of paths, URLs or (in Parquet) images; by default the first of
            `IMAGE_COLUMNS`.
        root: Folder or URL of relative paths; the current folder if empty.
        prefix: What keys of unnamed images begin with; by default the table's name.

    Raises:
        ValueError: If it cannot be read, has no such column, or a package is missing.
    """
    opener = _parquet if name.lower().endswith(".parquet") else _text_table
    try:
        return opener(name, column, root, prefix or name)
    except (OSError, csv.Error, UnicodeDecodeError) as err:
        reason = "no such file" if isinstance(err, FileNotFoundError) else str(err)
        raise ValueError(f"{name}: cannot be read as a table ({reason})") from err


def _image_column(name: str, there: list[str], wanted: str | None) -> str:
    for column in [wanted] if wanted else IMAGE_COLUMNS:
        if column in there:
            return column
    raise ValueError(
        f"{name}: expected a column {wanted or ', '.join(IMAGE_COLUMNS)}, got "
        f"{', '.join(there) or 'none'}; --column names the one with the images"
    )


# --- csv and jsonl ---------------------------------------------------------------------------


def _text_table(name: str, column: str | None, root: str, prefix: str) -> Table:
    def rows() -> Iterator[dict[str, Any]]:
        with _open_text(name) as file:
            yield from csv.DictReader(file) if is_csv else _objects(name, file)

    is_csv = name.lower().endswith(".csv")
    if is_csv:
        with _open_text(name) as file:
            there = list(csv.DictReader(file).fieldnames or [])
    else:
        there = list(next(rows(), {}))
    column = _image_column(name, there, column)
    others = [one for one in there if one != column]

    def found() -> Iterator[Item]:
        for number, row in enumerate(rows()):
            columns = {one: row.get(one) for one in others}
            yield _named(f"{prefix}#{number}", row.get(column), root, columns)

    return Table(name, dict.fromkeys(others), found, lambda: sum(1 for _ in rows()))


def _open_text(name: str) -> TextIOWrapper:
    file = open_binary(name)
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _objects(name: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as err:
            raise ValueError(f"{name}, line {number}: no JSON ({err})") from err
        if not isinstance(found, dict):
            raise ValueError(
                f"{name}, line {number}: expected a JSON object, got {line.strip()[:40]}"
            )
        yield found


def _named(key: str, path: Any, root: str, columns: Mapping[str, Any]) -> Item:
    """The item of a row; `key` if it names no image."""
    if isinstance(path, str) and path:
        return item_for(path, root, columns)
    return Item(key, None, columns, "the table names no image in this row")


# --- Parquet ---------------------------------------------------------------------------------


def _parquet(name: str, column: str | None, root: str, prefix: str) -> Table:
    pa, pq = (require(module, "scale", name) for module in ("pyarrow", "pyarrow.parquet"))
    try:
        with open_binary(name) as file:
            schema, count = pq.read_schema(file), pq.read_metadata(file).num_rows
    except pa.ArrowInvalid as err:
        raise ValueError(f"{name}: no Parquet file ({err})") from err
    column = _image_column(name, schema.names, column)
    holds_images = _is_binary(schema.field(column).type)
    keys = [one for one in KEY_COLUMNS if one in schema.names and one != column]
    key = next((one for one in keys if pa.types.is_string(schema.field(one).type)), None)
    own = {column, key} if holds_images else {column}
    columns = {field.name: field.type for field in schema if field.name not in own}

    def found() -> Iterator[Item]:
        number = 0
        with open_binary(name) as file:
            # not prefetched: a whole row group of images can be gigabytes
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**16)
            for batch in table.iter_batches(PARQUET_ROWS if holds_images else 1024):
                for row in batch.to_pylist():
                    rest = {one: row[one] for one in columns}
                    place = f"{prefix}#{number}"
                    if holds_images:
                        yield _held((key and row[key]) or place, row[column], rest)
                    else:
                        yield _named(place, row[column], root, rest)
                    number += 1

    return Table(name, columns, found, lambda: count, holds_images)


def _is_binary(kind: "pa.DataType") -> bool:
    """Whether a column has bytes, alone or beside their path as the `datasets` library does."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
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
