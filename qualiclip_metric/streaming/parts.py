"""Rows in a folder of Parquet parts: each part whole or not there, with its signature.

What is scored already is told by the parts alone. Any number of writers may add parts to a folder.
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qualiclip_metric.files import write_bytes
from qualiclip_metric.signature import same
from qualiclip_metric.streaming.done import DoneKeys
from qualiclip_metric.streaming.rows import DIAGNOSIS, Layout, Row

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

SIGNATURE = b"qualiclip_metric.signature"
"""Key of the schema's metadata under which each part states its signature."""
PART_ROWS = 2**14
"""Rows after which a part is written."""
PART_SECONDS = 60.0
"""Seconds after which a part is written, so that a kill costs no more work than that."""


class OtherRowsError(ValueError):
    """Rows of another signature or of other columns are there; the message names both."""


def schema(layout: Layout) -> "pa.Schema":
    """The schema of a part: the columns, and the signature in the metadata.

    Args:
        layout: What the rows hold.

    Returns:
        `key` (text), `score` (float64), `error` (text), `width` and `height` (int32), then what the
        layout names.
    """
    import pyarrow as pa

    fields = [
        pa.field("key", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        *(zip(DIAGNOSIS, (pa.string(), pa.float64()), strict=True) if layout.diagnosed else ()),
        *((name, pa.float64()) for name in layout.pairs),
        *((name, kind or pa.string()) for name, kind in layout.columns.items()),
    ]
    return pa.schema(fields, {SIGNATURE: layout.signature.encode()})


def text(key: str) -> str:
    """A key as Parquet takes it: bytes that are no UTF-8, which file names may have, escaped."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_table(rows: Sequence[Row], layout: Layout) -> "pa.Table":
    """Rows as a table with the layout's schema.

    Args:
        rows: In the order that they are to have.
        layout: What they hold.
    """
    import pyarrow as pa

    texts = [name for name, kind in layout.columns.items() if kind is None]
    held = []
    for row in rows:
        values = {**row.as_dict(layout.pairs), "key": text(row.key)}
        held.append(values | {name: _as_text(values.get(name)) for name in texts})
    return pa.Table.from_pylist(held, schema=schema(layout))


def _as_text(value: Any) -> str | None:
    """What jsonl has in a column that is text elsewhere."""
    if value is None or isinstance(value, str):
        return None if value is None else text(value)
    return json.dumps(value)


def write_part(folder: str, table: "pa.Table", name: str | None = None) -> str:
    """Write a part, whole or not at all.

    Args:
        folder: Path, or URL that fsspec knows; it is made where it is missing.
        table: With a schema of `schema`.
        name: Of the file; one that no other writer chooses, unless told.

    Returns:
        The part's path within its file system.

    Raises:
        OSError: Where it cannot be written.
        ValueError: When the table's schema states no signature.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if SIGNATURE not in (table.schema.metadata or {}):
        raise ValueError("expected a table with the schema of qualiclip_metric.streaming.parts")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    fs, root = _opened(folder)
    path = f"{root}/{name or f'part-{uuid4().hex}.parquet'}"
    if "file" in _protocols(fs):
        write_bytes(path, memoryview(sink.getvalue()))
    else:  # a store puts an object as a whole
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(path, sink.getvalue().to_pybytes())
    return path


def part_paths(folder: str) -> list[str]:
    """Paths of a folder's parts within its file system, sorted; none where there is no folder.

    Args:
        folder: Path, or URL that fsspec knows.
    """
    fs, root = _opened(folder)
    fs.invalidate_cache(root)
    if not fs.exists(root):
        return []
    return sorted(
        path
        for path in fs.ls(root, detail=False)
        if path.endswith(".parquet") and not path.rpartition("/")[2].startswith(".")
    )


def tables(folder: str, columns: Sequence[str] | None = None) -> "Iterator[tuple[str, pa.Table]]":
    """A folder's parts, one at a time.

    Args:
        folder: Path, or URL that fsspec knows.
        columns: Columns to read; all unless told.

    Yields:
        The part's path within its file system, and its table.
    """
    import pyarrow.parquet as pq

    fs, _ = _opened(folder)
    for path in part_paths(folder):
        with fs.open(path, "rb") as file:
            yield path, pq.read_table(file, columns=columns)


def check_folder(folder: str, layout: Layout) -> None:
    """Refuse a folder whose rows cannot stand beside those that are to be written.

    Args:
        folder: Path, or URL that fsspec knows.
        layout: Of the rows to be written.

    Raises:
        OtherRowsError: When a part has another signature or other columns, or is none of ours.
    """
    import pyarrow.parquet as pq

    names = schema(layout).names
    fs, _ = _opened(folder)
    for path in part_paths(folder):
        with fs.open(path, "rb") as file:
            there = pq.read_schema(file)
        held = (there.metadata or {}).get(SIGNATURE)
        if held is None:
            raise OtherRowsError(f"{path} holds no scores of this package: choose another folder")
        refuse_others(folder, held.decode(), layout.signature, there.names, names)


def refuse_others(
    where: object, held: str, signature: str, held_columns: Sequence[str], columns: Sequence[str]
) -> None:
    """Refuse rows that differ from those to be written in signature or columns.

    Args:
        where: The file or folder of the rows that are there.
        held: Their signature.
        signature: That of the rows to be written.
        held_columns: Names of the columns that are there.
        columns: Names of the columns to be written.

    Raises:
        OtherRowsError: When one of them differs.
    """
    cure = "--overwrite starts afresh, another --out keeps both"
    if held != signature and not same(held, signature):
        raise OtherRowsError(f"{where} holds rows of {held}, these would be of {signature}; {cure}")
    if list(held_columns) != list(columns):
        raise OtherRowsError(
            f"{where} holds rows with the columns {', '.join(held_columns)}, these would have "
            f"{', '.join(columns)}; {cure}"
        )


def keys(folder: str, *, failed: bool = True) -> Iterator[str]:
    """Keys of the rows in a folder.

    Args:
        folder: Path, or URL that fsspec knows.
        failed: Whether rows without a score count.
    """
    for _, table in tables(folder, ["key", "score"]):
        found = table if failed else table.filter(table["score"].is_valid())
        yield from found["key"].to_pylist()


def done_keys(folder: str) -> DoneKeys:
    """What has a row in a folder; images are asked for by `text(key)`.

    Args:
        folder: Path, or URL that fsspec knows.
    """
    return DoneKeys(keys(folder))


def count_failed(folder: str) -> int:
    """How many rows of a folder have no score.

    Args:
        folder: Path, or URL that fsspec knows.
    """
    return sum(table["score"].null_count for _, table in tables(folder, ["score"]))


def drop_failed(folder: str) -> int:
    """Take the rows without a score out of a folder, part by part, so that they are scored again.

    Args:
        folder: Path, or URL that fsspec knows.

    Returns:
        How many there were.
    """
    fs, _ = _opened(folder)
    dropped = 0
    for path, table in tables(folder):
        good = table.filter(table["score"].is_valid())
        if len(good) == len(table):
            continue
        dropped += len(table) - len(good)
        if len(good):
            write_part(folder, good, path.rpartition("/")[2])
        else:
            fs.rm_file(path)
    return dropped


def clear(folder: str) -> None:
    """Remove a folder's parts, and nothing else.

    Args:
        folder: Path, or URL that fsspec knows.

    Raises:
        OtherRowsError: When a Parquet file there is none of ours; nothing is removed then.
    """
    import pyarrow.parquet as pq

    fs, _ = _opened(folder)
    paths = part_paths(folder)
    for path in paths:
        with fs.open(path, "rb") as file:
            if SIGNATURE not in (pq.read_schema(file).metadata or {}):
                raise OtherRowsError(f"{path} holds no scores of this package: it is not removed")
    for path in paths:
        fs.rm_file(path)


class PartWriter:
    """Gathers rows and writes a part when there are many, or the last part is old.

    Args:
        folder: Path, or URL that fsspec knows.
        layout: What the rows hold.
        rows: Rows after which a part is written.
        seconds: Seconds after which one is written.
    """

    def __init__(
        self,
        folder: str,
        layout: Layout,
        rows: int = PART_ROWS,
        seconds: float = PART_SECONDS,
    ) -> None:
        self.folder, self.layout = folder, layout
        self.rows, self.seconds = rows, seconds
        self._waiting: list[Row] = []
        self._last = time.monotonic()
        self._number = 1 + max((_number(path) for path in part_paths(folder)), default=0)

    def add(self, row: Row) -> None:
        """Take a row; it is on the disk with the next part."""
        self._waiting.append(row)
        if len(self._waiting) >= self.rows or time.monotonic() - self._last >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._waiting:
            name = f"part-{self._number:08}-{uuid4().hex[:8]}.parquet"
            write_part(self.folder, to_table(self._waiting, self.layout), name)
            self._number += 1
            self._waiting = []
        self._last = time.monotonic()


def _number(path: str) -> int:
    """Number of a part that a `PartWriter` wrote; 0 for those of others."""
    middle = path.rpartition("/")[2].split("-")[1:2]
    return int(middle[0]) if middle and len(middle[0]) == 8 and middle[0].isdecimal() else 0


def _opened(folder: str) -> "tuple[AbstractFileSystem, str]":
    """File system and path within it."""
    from fsspec.core import url_to_fs

    fs, root = url_to_fs(str(folder))
    return fs, root.rstrip("/")


def _protocols(fs: "AbstractFileSystem") -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
