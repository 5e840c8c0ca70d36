"""Sources -> a data set of images or their paths, and its blocks -> items on the nodes."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.distributed.cluster import TASK_CPUS, import_ray
from qualiclip_metric.scoring.parquet import valid_text
from qualiclip_metric.scoring.results import DoneKeys
from qualiclip_metric.sources import shard_source, table_source
from qualiclip_metric.sources.item import Item, Url, is_shard, is_url

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from qualiclip_metric.sources.arguments import Sources

KEY, PATH, IMAGE, ERROR = "key", "path", "image", "error"
"""Columns of a data set: the key, and the image's path, or its content, or why there is none."""
BLOCK_PATHS = 256
"""Most paths in a block; a worker takes a block at once."""
WORKER_BLOCKS = 4
"""Blocks of paths for each worker, if there are enough paths, so that all end together."""
BLOCK_BYTES = 2**22
"""Size of a block of images: some dozen photos, a few seconds' work."""
READ_TASKS = 2**13
"""Most tasks that read files; each reads several if there are more."""
READ_ROWS = 16
"""Images of a shard or a table in a block."""
ROW_BATCH = 1024
"""Rows of a block that are converted at once."""


def read(sources: "Sources", workers: int | None = None, done: DoneKeys | None = None) -> "Dataset":
    """Make a data set of sources, for `score`: `key`, `image` or `path`, `error`, tables' columns.

    Shards and tables with images are read by the nodes, each as a task. This process goes through
    folders, patterns, lists and tables with paths, in blocks for so many workers (default: the
    cluster's CPUs); the workers read the images. Every node has to see the paths.

    Images whose rows are among `done` are left out, by the rule of `DoneKeys.missing` for each
    shard and table with images, and for all other sources together.
    """
    ray, done = import_ray(), done or DoneKeys()
    ray.data.DataContext.get_current().target_max_block_size = BLOCK_BYTES
    schema = _schema(sources.columns)
    files = [name for part in sources.parts for name in part.files]
    others = [part for part in sources.parts if not part.files]
    sets = []
    if files:
        named = ray.data.from_items(files, override_num_blocks=min(len(files), READ_TASKS))
        arguments = {
            "column": sources.column,
            "root": sources.root,
            "folder": str(Path.cwd()),
            "schema": schema,
            "done": [ray.put(done)],  # once in the memory of each node
        }
        sets.append(named.map_batches(_read_files, fn_kwargs=arguments, num_cpus=TASK_CPUS))
    if others:
        items = done.missing((item for part in others for item in part.items()), valid_text)
        workers = workers or int(ray.cluster_resources().get("CPU", 0))
        sets.append(ray.data.from_arrow(list(path_tables(items, schema, workers))))
    whole: Dataset = sets[0] if len(sets) == 1 else sets[0].union(*sets[1:])
    return whole


def _read_files(
    batch: dict[str, Any],
    column: str | None,
    root: str,
    folder: str,
    schema: "pa.Schema",
    done: list[Any],
) -> "Iterator[pa.Table]":
    """Read shards or tables on a node, whose current folder may be another one."""
    known = import_ray().get(done[0])  # in a list, or Ray would send a copy to each task
    for name in map(str, batch["item"]):
        place = name if is_url(name) else str(Path(folder, name))
        if is_shard(name):
            items = shard_source.items(place, name)
        else:
            items = table_source.open_table(place, column, root or folder, name).items()
        yield from _to_tables(known.missing(items, valid_text), schema, READ_ROWS)


def _schema(columns: Mapping[str, Any]) -> "pa.Schema":
    import pyarrow as pa

    own = [(KEY, pa.string()), (PATH, pa.binary()), (IMAGE, pa.large_binary()),
           (ERROR, pa.string())]  # fmt: skip
    return pa.schema([*own, *((name, kind or pa.string()) for name, kind in columns.items())])


def path_tables(items: Iterable[Item], schema: "pa.Schema", workers: int) -> "Iterator[pa.Table]":
    """Paths in blocks, small enough that all workers get some."""
    rest, blocks = iter(items), WORKER_BLOCKS * max(1, workers)
    first = list(islice(rest, BLOCK_PATHS * blocks))
    return _to_tables(chain(first, rest), schema, max(1, -(-len(first) // blocks)))


def _to_tables(items: Iterable[Item], schema: "pa.Schema", rows: int) -> "Iterator[pa.Table]":
    """Items in blocks; one that is empty if there are none, for Ray needs the columns."""
    import pyarrow as pa

    rest = iter(items)
    some = list(islice(rest, rows))
    while True:
        yield pa.Table.from_pylist([_to_row(item) for item in some], schema=schema)
        if not (some := list(islice(rest, rows))):
            return


def _to_row(item: Item) -> dict[str, Any]:
    """An item as a row; paths are bytes, for they may not be text."""
    row = {**item.columns, KEY: valid_text(item.key), ERROR: item.error}
    if isinstance(item.image, Encoded):
        return {**row, IMAGE: item.image.content}
    if item.image is None:
        return row
    assert isinstance(item.image, Path | Url)  # pixels come from Python alone
    place = item.image.address if isinstance(item.image, Url) else str(item.image.absolute())
    return {**row, PATH: os.fsencode(place)}


# --- on the nodes ----------------------------------------------------------------------------


def passed_columns(table: "pa.Table") -> "dict[str, pa.DataType]":
    """Columns that are written with the scores, and their types."""
    own = (KEY, PATH, IMAGE, ERROR)
    return {field.name: field.type for field in table.schema if field.name not in own}


def items_of(table: "pa.Table") -> Iterator[Item]:
    """Convert a block's rows to items.

    The columns are `image` (the file's bytes) or `path` (path or URL, text or bytes), or both, one
    of which is null; `key` is the path by default; `error` may state why there is no image. Raises
    ValueError if there is no such column, or content without a key.
    """
    names = set(table.schema.names)
    if not {IMAGE, PATH} & names or not {KEY, PATH} & names:
        raise ValueError(
            f"expected a column {IMAGE} with images' bytes and a column {KEY}, or a column {PATH} "
            f"with paths or URLs; got {', '.join(table.schema.names)}"
        )
    others = list(passed_columns(table))
    for batch in table.to_batches(max_chunksize=ROW_BATCH):
        for index in range(len(batch)):  # row by row: a block's images are not copied at once
            row = {name: batch.column(name)[index].as_py() for name in table.schema.names}
            yield _item(row, {name: row[name] for name in others})


def _item(row: dict[str, Any], columns: dict[str, Any]) -> Item:
    content, place = row.get(IMAGE), row.get(PATH)
    place = os.fsdecode(place) if place is not None else None
    key = row.get(KEY) or place or ""
    if content is not None:
        return Item(key, Encoded(place or key, content), columns)
    if place is None:
        return Item(key, None, columns, row.get(ERROR) or "there is no image")
    return Item(key, Url(place) if is_url(place) else Path(place), columns)
