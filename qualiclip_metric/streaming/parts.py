"""Rows in a folder of Parquet parts: each part whole or not there, with its signature.

What is scored already is told by the parts alone. Any number of writers may add parts to a folder.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qualiclip_metric.files import write_bytes
from qualiclip_metric.streaming.done import DoneKeys
from qualiclip_metric.streaming.rows import DIAGNOSIS, RESERVED, Row

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


def schema(
    signature: str,
    *,
    pairs: Sequence[str] = (),
    diagnosed: bool = False,
    columns: "Mapping[str, pa.DataType] | None" = None,
) -> "pa.Schema":
    """The schema of a part.

    Args:
        signature: What the scores depend on.
        pairs: Names of the columns of the antonym pairs (`rows.pair_columns`).
        diagnosed: Whether there are the columns `fault` and `probability`.
        columns: Columns that are passed through, with their types.

    Returns:
        `key` (text), `score` (float64), `error` (text), `width` and `height` (int32), then what was
        asked for; the signature in the metadata.

    Raises:
        ValueError: When a column that is passed through has the name of one of these.
    """
    import pyarrow as pa

    fields = [
        pa.field("key", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        *(zip(DIAGNOSIS, (pa.string(), pa.float64()), strict=True) if diagnosed else ()),
        *((name, pa.float64()) for name in pairs),
    ]
    check_columns(columns or {}, pairs)
    fields += (columns or {}).items()
    return pa.schema(fields, {SIGNATURE: signature.encode()})


def check_columns(columns: Mapping[str, Any] | Sequence[str], pairs: Sequence[str] = ()) -> None:
    """Refuse columns to pass through that have a name which the rows use.

    Args:
        columns: Their names.
        pairs: Names of the columns of the antonym pairs.

    Raises:
        ValueError: When there is such a column.
    """
    if taken := sorted(set(columns) & {*RESERVED, *pairs}):
        raise ValueError(
            f"the table's columns {', '.join(taken)} have names that the rows of scores use: "
            "rename them"
        )


def text(key: str) -> str:
    """A key as Parquet takes it: bytes that are no UTF-8, which file names may have, escaped."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def to_table(rows: Sequence[Row], form: "pa.Schema") -> "pa.Table":
    """Rows as a table.

    Args:
        rows: In the order that they are to have.
        form: Of `schema`.
    """
    import pyarrow as pa

    pairs = [name for name in form.names if name.startswith("pair_")]
    held = [{**row.as_dict(pairs[: len(row.pairs)]), "key": text(row.key)} for row in rows]
    return pa.Table.from_pylist(held, schema=form)


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


def check_folder(folder: str, form: "pa.Schema") -> None:
    """Refuse a folder whose rows cannot stand beside those that are to be written.

    Args:
        folder: Path, or URL that fsspec knows.
        form: Of the rows to be written.

    Raises:
        OtherRowsError: When a part has another signature or other columns, or is none of ours.
    """
    import pyarrow.parquet as pq

    assert form.metadata is not None
    signature, names = form.metadata[SIGNATURE].decode(), list(form.names)
    fs, _ = _opened(folder)
    for path in part_paths(folder):
        with fs.open(path, "rb") as file:
            there = pq.read_schema(file)
        held = (there.metadata or {}).get(SIGNATURE)
        if held is None:
            raise OtherRowsError(f"{path} holds no scores of this package: choose another folder")
        refuse_others(folder, held.decode(), signature, list(there.names), names)


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
    if held != signature:
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
        form: Of `schema`.
        rows: Rows after which a part is written.
        seconds: Seconds after which one is written.
    """

    def __init__(
        self,
        folder: str,
        form: "pa.Schema",
        rows: int = PART_ROWS,
        seconds: float = PART_SECONDS,
    ) -> None:
        self.folder, self.form = folder, form
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
            write_part(self.folder, to_table(self._waiting, self.form), name)
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
