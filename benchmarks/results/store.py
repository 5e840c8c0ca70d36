"""Score files: the scores of one metric on one data set, safe against a kill at any moment.

While a run is in progress, finished batches are appended to a journal of JSON lines, one write per
batch; at its end the journal is folded into a Parquet file that is replaced in one step. After a
SIGKILL the journal holds all but the batch in hand; a torn last line is dropped.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from benchmarks.formatting import without_nan
from qualiclip_metric.files import atomic_write

FORMAT = 1
_KEY = b"benchmarks"


@dataclass(frozen=True)
class Row:
    """Score of one image; ``score`` is raw, NaN on failure; ``error`` is "" on success."""

    digest: str
    image: str
    score: float
    error: str
    seconds: float
    height: int
    width: int


COLUMNS = tuple(Row.__dataclass_fields__)


@dataclass(frozen=True)
class Key:
    """Identity of a score file: all that its scores depend on beside the images."""

    dataset: str
    metric: str
    signature: str
    lower_is_better: bool
    resolution: str

    @property
    def short(self) -> str:
        """Eight hex digits of signature and resolution."""
        text = f"{self.signature}|{self.resolution}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def slug(self) -> str:
        """File name without a suffix."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.metric) + "-" + self.short


class Busy(RuntimeError):
    """Another run is writing the same scores."""


class Store:
    """The score file of one :class:`Key` under ``results/<dataset>/``; use it as a context."""

    def __init__(self, results: Path, key: Key) -> None:
        self.key = key
        self.path = results / key.dataset / f"{key.slug}.parquet"
        self.journal = self.path.with_suffix(".jsonl")
        self._lock = FileLock(self.path.with_suffix(".lock"))

    def __enter__(self) -> "Store":
        """Acquire the lock, and cut off a last line of the journal that a kill left incomplete."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise Busy(
                f"another run is scoring {self.key.metric} on {self.key.dataset} into "
                f"{self.path.parent}; wait for it, or write to another --out"
            ) from err
        _mend(self.journal)
        return self

    def __exit__(self, *_: object) -> None:
        """Merge the journal into the Parquet file and release the lock."""
        try:
            self.compact()
        finally:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def rows(self) -> pd.DataFrame:
        """All rows so far, the latest per image."""
        return read(self.path, self.journal)[1]

    def append(self, rows: Iterable[Row]) -> None:
        """Append a finished batch to the journal, in one write."""
        text = "".join(json.dumps(without_nan(asdict(row))) + "\n" for row in rows)
        if not self.journal.exists():
            text = json.dumps({"format": FORMAT, **asdict(self.key)}) + "\n" + text
        with self.journal.open("ab", buffering=0) as file:
            left = memoryview(text.encode())
            while left:  # on an almost full disk, write() may take a part; the rest then raises
                left = left[file.write(left) :]

    def compact(self) -> None:
        """Merge the journal into the Parquet file."""
        if self.journal.exists():
            rows = self.rows().sort_values(["image", "digest"], ignore_index=True)
            write_parquet(rows, self.path, {"format": FORMAT, **asdict(self.key)})
            self.journal.unlink()


def read(path: Path, journal: Path) -> tuple[Key | None, pd.DataFrame]:
    """Read the key and each image's latest row from a score file and its journal, if they exist."""
    key: Key | None = None
    frames = []
    if path.is_file():
        table = pq.read_table(path)
        key = _key(json.loads((table.schema.metadata or {}).get(_KEY, b"null")))
        frames.append(table.to_pandas())
    if journal.is_file():
        lines = journal.read_bytes().split(b"\n")[:-1]  # the last piece is empty or torn
        if lines:
            key = key or _key(json.loads(lines[0]))
            records = [json.loads(line) for line in lines[1:]]
            frames.append(pd.DataFrame(records, columns=list(COLUMNS)))
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return key, pd.DataFrame(columns=list(COLUMNS))
    rows = pd.concat(frames, ignore_index=True).drop_duplicates("digest", keep="last")
    rows["score"] = rows["score"].astype(float)
    return key, rows.reset_index(drop=True)


def write_parquet(frame: pd.DataFrame, path: Path, metadata: dict[str, Any]) -> None:
    """Write a Parquet file atomically, with JSON ``metadata``."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    kept = table.schema.metadata or {}
    table = table.replace_schema_metadata({**kept, _KEY: json.dumps(metadata).encode()})
    with atomic_write(path) as scratch:
        pq.write_table(table, scratch)


def _mend(journal: Path) -> None:
    """Remove an incomplete last line; a journal without a complete header is deleted."""
    if not journal.is_file():
        return
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        journal.unlink()
    elif len(whole) < len(content):
        os.truncate(journal, len(whole))


def _key(record: Any) -> Key | None:
    if not isinstance(record, dict):
        return None
    return Key(**{name: record[name] for name in Key.__dataclass_fields__})
