"""Tables that name images, or hold them: csv, tsv, jsonl, Parquet."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.extras import require
from qualiclip_metric.sources.delimited import open_text, read_rows
from qualiclip_metric.sources.folders import LeftOut
from qualiclip_metric.sources.item import Item, file_name, item_for, open_binary

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "path", "key")
"""Columns of images or their paths; the first that is there is taken."""
KEY_COLUMNS = ("key", "path")
"""Text columns that name an image whose bytes are in the table."""
PARQUET_ROWS = 16
"""Rows that are read at once of a table that holds images."""

Record = dict[str, Any] | str
"""A row by its columns, or the reason why it cannot be read."""


@dataclass(frozen=True)
class Table:
    """A table and its column of images."""

    name: str  # path or URL
    columns: Mapping[str, Any]  # the other columns, with their pyarrow types; None for text
    rows: Callable[[LeftOut], Iterator[Item]]
    count: Callable[[], int]
    holds_images: bool = False  # the images themselves, not their paths

    def items(self, left_out: LeftOut | None = None) -> Iterator[Item]:
        """Read its rows; if that fails, the last item states the reason under the table's name.

        `left_out` counts values that are in none of the columns.
        """
        try:
            yield from self.rows(LeftOut() if left_out is None else left_out)
        except (OSError, ValueError) as err:  # pyarrow's errors are among them
            yield Item(self.name, None, error=f"cannot be read to its end ({err})")


def open_table(name: str, column: str | None = None, root: str = "", prefix: str = "") -> Table:
    """Read the columns of a csv, tsv, jsonl or Parquet file, a path or URL.

    `column` has paths, URLs or (in Parquet) images; default: the first of `IMAGE_COLUMNS`. Relative
    paths are below `root`. Keys of unnamed images begin with `prefix`, by default the table's name.
    ValueError if the table cannot be read, has no such column, or a package is missing.
    """
    opener = _parquet if file_name(name).endswith(".parquet") else _text_table
    try:
        return opener(name, column, root, prefix or name)
    except (OSError, UnicodeError) as err:
        reason = "no such file" if isinstance(err, FileNotFoundError) else str(err)
        raise ValueError(f"{name}: cannot be read as a table ({reason})") from err


def image_column(name: str, there: Sequence[str], wanted: str | None) -> str:
    """Choose the column of images: the wanted one, or the first of `IMAGE_COLUMNS`.

    Raises ValueError if it is not there, or two columns have one name.
    """
    if twice := sorted({one for one in there if list(there).count(one) > 1}):
        raise ValueError(f"{name}: several columns are called {', '.join(twice)}: rename them")
    for column in [wanted] if wanted else IMAGE_COLUMNS:
        if column in there:
            return column
    raise ValueError(
        f"{name}: expected a column {wanted or ', '.join(IMAGE_COLUMNS)}, got "
        f"{', '.join(there) or 'none'}; --column (in Python column=) names the one with the images"
    )


# --- csv and jsonl ---------------------------------------------------------------------------


def _text_table(name: str, column: str | None, root: str, prefix: str) -> Table:
    """Open a csv, tsv or jsonl file; the columns of jsonl are those of its first row."""
    is_json = file_name(name).endswith(".jsonl")
    header = next(_json_objects(name) if is_json else read_rows(name), [])
    if isinstance(header, str):
        raise ValueError(f"{name}, {header}")
    there = list(header)
    column = image_column(name, there, column)
    others = [one for one in there if one != column]

    def records() -> Iterator[Record]:
        if is_json:
            yield from _json_objects(name)
        for fields in () if is_json else islice(read_rows(name), 1, None):
            yield fields if isinstance(fields, str) else dict(zip(there, fields, strict=False))

    def rows(left_out: LeftOut) -> Iterator[Item]:
        for number, record in enumerate(records()):
            place = f"{prefix}#{number}"
            if isinstance(record, str):
                yield Item(place, None, error=record)
                continue
            for other in record.keys() - header:
                left_out[f"values of {other}, a column that the first row of {name} lacks"] += 1
            columns = {one: record.get(one) for one in others}
            yield _named(place, record.get(column), root, columns)

    return Table(name, dict.fromkeys(others), rows, lambda: sum(1 for _ in records()))


def _json_objects(name: str) -> Iterator[Record]:
    with open_text(name) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except json.JSONDecodeError as err:
                yield f"line {number}: no JSON ({err})"
                continue
            got = f"line {number}: expected a JSON object, got {line.strip()[:40]}"
            yield found if isinstance(found, dict) else got


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
    column = image_column(name, schema.names, column)
    holds_images = _is_binary(schema.field(column).type)
    keys = [one for one in KEY_COLUMNS if one in schema.names and one != column]
    key = next((one for one in keys if _is_text(schema.field(one).type)), None)
    own = {column, key} if holds_images else {column}
    columns = {
        field.name: pa.string() if _is_text(field.type) else field.type
        for field in schema
        if field.name not in own
    }

    def rows(_: LeftOut) -> Iterator[Item]:
        number = 0
        with open_binary(name) as file:
            # not prefetched: a whole row group of images can be gigabytes
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**16)
            for batch in table.iter_batches(PARQUET_ROWS if holds_images else 1024):
                for row in batch.to_pylist():
                    rest = {one: row[one] for one in columns}
                    place = f"{prefix}#{number}"
                    if holds_images:
                        name_there = key and row[key]
                        yield held(name_there or place, row[column], root, rest)
                    else:
                        yield _named(place, row[column], root, rest)
                    number += 1

    return Table(name, columns, rows, lambda: count, holds_images)


def _is_text(kind: "pa.DataType") -> bool:
    """Whether a column has text, as one of the types that pandas, polars and categories make."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    of_types = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(of_type(kind) for of_type in of_types)


def _is_binary(kind: "pa.DataType") -> bool:
    """Whether a column has bytes, alone or beside their path as the `datasets` library does."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    of_types = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(of_type(kind) for of_type in (*of_types, pa.types.is_fixed_size_binary))


def held(key: str, value: Any, root: str = "", columns: Mapping[str, Any] | None = None) -> Item:
    """The item of an image in a table, whose value is its content or a mapping.

    A mapping has `bytes` and `path`, as the `datasets` library writes it; the path names the file
    if there are no bytes.
    """
    content, path = (
        (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, None)
    )
    if content is not None:
        return Item(key, Encoded(key, bytes(content)), columns or {})
    if path:
        return replace(item_for(path, root, columns), key=key)
    return Item(key, None, columns or {}, "the table holds no image in this row")
