"""Rows in Parquet: one file, or a folder of parts that any number of processes may add to.

Each file is whole or not there, and states its signature in the schema's metadata.
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qualiclip_metric.files import write_bytes
from qualiclip_metric.scoring.columns import Layout, OtherRowsError, Row
from qualiclip_metric.sources.url_source import file_system

if TYPE_CHECKING:
    import pyarrow as pa

SIGNATURE = b"qualiclip_metric.signature"
"""Key of the signature in the schema's metadata."""
PART_ROWS = 2**14
"""Rows after which a part is written."""
PART_SECONDS = 60.0
"""Seconds after which a part is written: a kill loses no more work than that."""


def schema(layout: Layout) -> "pa.Schema":
    """The schema of a layout's flat columns; `path` is called `key`."""
    import pyarrow as pa

    text = pa.string()
    types = {str: text, float: pa.float64(), int: pa.int32(), bool: pa.bool_(), None: text}
    fields = [
        pa.field("key", pa.string(), nullable=False)
        if column.name == "path"
        else pa.field(column.name, types.get(column.type, column.type))
        for column in layout.flat
    ]
    return pa.schema(fields, {SIGNATURE: layout.signature.encode()})


def valid_text(text: str) -> str:
    """Escape bytes that are not UTF-8, which file names may have and Parquet may not."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_table(rows: Sequence[Row], layout: Layout) -> "pa.Table":
    """Convert rows to a table with the layout's schema."""
    import pyarrow as pa

    arrays = [
        [_as_text(value) for value in map(column.value, rows)]
        if column.type in (str, None)
        else [column.value(row) for row in rows]
        for column in layout.flat
    ]
    form = schema(layout)
    return pa.Table.from_arrays(
        [pa.array(array, field.type) for array, field in zip(arrays, form, strict=True)],
        schema=form,
    )


def _as_text(value: Any) -> str | None:
    """Text of a value; jsonl may have numbers and objects in a column of text."""
    if value is None or isinstance(value, str):
        return None if value is None else valid_text(value)
    return json.dumps(value)


def write_file(path: str, table: "pa.Table") -> None:
    """Write a table with a schema of `schema` to a path or URL, atomically.

    Missing folders are made; ValueError if the table's schema states no signature.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if SIGNATURE not in (table.schema.metadata or {}):
        raise ValueError("expected a table with the schema of qualiclip_metric.scoring.parquet")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    fs, place = file_system(path)
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    if "file" in protocols:
        write_bytes(place, memoryview(sink.getvalue()))
    else:  # a store puts an object as a whole
        fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(place, sink.getvalue().to_pybytes())


# --- folders of parts ------------------------------------------------------------------------


def part_paths(folder: str) -> list[str]:
    """Paths of a folder's parts within its file system, sorted; none if there is no folder.

    In all functions below, the folder is a path, or a URL that fsspec opens.
    """
    fs, root = file_system(folder.rstrip("/"))
    fs.invalidate_cache(root)
    if not fs.exists(root):
        return []
    return sorted(
        path
        for path in fs.ls(root, detail=False)
        if path.endswith(".parquet") and not path.rpartition("/")[2].startswith(".")
    )


def _tables(folder: str, columns: Sequence[str] | None = None) -> "Iterator[tuple[str, pa.Table]]":
    """Name and table of each part."""
    import pyarrow.parquet as pq

    fs, _ = file_system(folder)
    for path in part_paths(folder):
        with fs.open(path, "rb") as file:
            yield path.rpartition("/")[2], pq.read_table(file, columns=columns)


def read_rows(folder: str) -> Iterator[tuple[str, float | None]]:
    """Key and score of each row of a folder."""
    for _, table in _tables(folder, ["key", "score"]):
        yield from zip(table["key"].to_pylist(), table["score"].to_pylist(), strict=True)


def _check_ours(folder: str, layout: Layout | None = None) -> None:
    """Raise OtherRowsError unless a folder's parts are scores, and have the layout."""
    import pyarrow.parquet as pq

    fs, _ = file_system(folder)
    for path in part_paths(folder):
        with fs.open(path, "rb") as file:
            there = pq.read_schema(file)
        signature = (there.metadata or {}).get(SIGNATURE)
        if signature is None:
            raise OtherRowsError(
                f"{path} holds no scores of this package: choose another folder, or move it away"
            )
        if layout is not None:
            names = ["path" if name == "key" else name for name in there.names]
            layout.check_same(folder, signature.decode(), names)


def prepare_folder(
    folder: str, layout: Layout, *, overwrite: bool = False, retry_errors: bool = False
) -> None:
    """Prepare a folder, which need not exist, for further rows.

    `overwrite` removes its parts and no other file, `retry_errors` its rows without a score. Raises
    OtherRowsError if a part has another signature or other columns, or is no file of scores.
    """
    fs, root = file_system(folder.rstrip("/"))
    if overwrite:
        _check_ours(folder)
        for path in part_paths(folder):
            fs.rm_file(path)
    _check_ours(folder, layout)
    if not retry_errors:
        return
    for name, table in _tables(folder):
        good = table.filter(table["score"].is_valid())
        if not len(good):
            fs.rm_file(f"{root}/{name}")
        elif len(good) < len(table):
            write_file(f"{folder.rstrip('/')}/{name}", good)


class PartWriter:
    """Collects rows, and writes a part after so many rows or seconds."""

    def __init__(
        self, folder: str, layout: Layout, rows: int = PART_ROWS, seconds: float = PART_SECONDS
    ) -> None:
        self.folder, self.layout = folder.rstrip("/"), layout
        self.rows, self.seconds = rows, seconds
        self._waiting: list[Row] = []
        self._last = time.monotonic()
        self._number = 1 + max(map(_number, part_paths(folder)), default=0)

    def add(self, row: Row) -> None:
        """Add a row; it is written with the next part."""
        self._waiting.append(row)
        if len(self._waiting) >= self.rows or time.monotonic() - self._last >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows as a part."""
        if self._waiting:
            name = f"part-{self._number:08}-{uuid4().hex[:8]}.parquet"
            write_file(f"{self.folder}/{name}", to_table(self._waiting, self.layout))
            self._number += 1
            self._waiting = []
        self._last = time.monotonic()


def _number(path: str) -> int:
    """Number of a part that a `PartWriter` wrote; 0 for other parts."""
    middle = path.rpartition("/")[2].split("-")[1:2]
    return int(middle[0]) if middle and len(middle[0]) == 8 and middle[0].isdecimal() else 0
