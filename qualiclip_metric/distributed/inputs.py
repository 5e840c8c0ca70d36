"""What a command names -> a data set of images or their places, read by the cluster's nodes."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.distributed.cluster import TASK_CPUS, alive_nodes, import_ray
from qualiclip_metric.distributed.worker import ERROR, IMAGE, KEY, PATH
from qualiclip_metric.streaming import shards, tables
from qualiclip_metric.streaming.items import Url, is_url
from qualiclip_metric.streaming.parts import text

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from qualiclip_metric.streaming.items import Item

BLOCK_PATHS = 256
"""Most paths in a block, which is what a worker takes at once."""
WORKER_BLOCKS = 4
"""Blocks of paths for each worker, where there are as many paths, so that all end together."""
BLOCK_BYTES = 2**22
"""Where a block of images ends: some dozen photos, a few seconds' work."""
READ_TASKS = 2**13
"""Most tasks that read; each reads several shards where there are more."""
READ_ROWS = 16
"""Images of a shard or a table that are handed on at once."""


def read(
    arguments: Sequence[str],
    *,
    from_file: Sequence[str] = (),
    recursive: bool = True,
    column: str | None = None,
    root: str = "",
    workers: int | None = None,
) -> "Dataset":
    """Images that a command names, for `score`.

    Tar shards and tables with images are read by the nodes, each as a task; folders, patterns,
    lists and tables with paths are gone through here, and the files themselves read by the workers.
    Every node has to see the paths.

    Args:
        arguments: As for `streaming.sources.open_sources`.
        from_file: Lists of paths.
        recursive: Whether folders are entered to any depth.
        column: The column of tables that has the images.
        root: Folder or URL that relative paths of lists and tables are below.
        workers: How many will share the paths; as many as the cluster has CPUs unless told.

    Returns:
        Columns `key`, `image` (bytes) or `path`, `error`, and those of tables.

    Raises:
        ValueError: When a name is empty, holds no image or cannot be read.
    """
    from qualiclip_metric.streaming.sources import open_sources

    ray = import_ray()
    ray.data.DataContext.get_current().target_max_block_size = BLOCK_BYTES
    folder = root or str(Path.cwd())
    opened: dict[str, Any] = {"recursive": recursive, "column": column, "root": folder}
    form = _schema(open_sources(arguments, from_file=from_file, **opened).columns)
    files, others = _split(arguments, column, folder)
    sets = []
    if files:
        named = ray.data.from_items(files, override_num_blocks=min(len(files), READ_TASKS))
        known = {"column": column, "root": folder, "form": form}
        sets.append(named.map_batches(_read_file, fn_kwargs=known, num_cpus=TASK_CPUS))
    if others or from_file:
        listed = open_sources(others, from_file=from_file, **opened)
        items = (item for part in listed.parts for item in part.items())
        workers = workers or int(sum(node.get("CPU", 0) for node in alive_nodes(ray)))
        sets.append(ray.data.from_arrow(list(_path_tables(items, form, workers))))
    whole: Dataset = sets[0] if len(sets) == 1 else sets[0].union(*sets[1:])
    return whole


def _split(arguments: Sequence[str], column: str | None, root: str) -> tuple[list[str], list[str]]:
    """Shards and tables of images, which the nodes read, and what is gone through here."""
    from qualiclip_metric.streaming import sources

    files: list[str] = []
    others: list[str] = []
    for name in arguments:
        is_table = tables.suffix(name) in tables.OPENERS
        names = sources.expanded(name) if is_table or shards.is_shard(name) else []
        if names and is_table:
            first = next(tables.open_table(names[0], column, root).items(), None)
            names = names if first is not None and isinstance(first.image, Encoded) else []
        files += names
        others += [] if names else [name]
    return files, others


def _read_file(
    batch: dict[str, Any], column: str | None, root: str, form: "pa.Schema"
) -> "Iterator[pa.Table]":
    """Read shards or tables on a node, without torch; keys begin as the names were given."""
    for name in map(str, batch["item"]):
        place = _absolute(name, root)
        if shards.is_shard(place):
            items = shards.images(place)
        else:
            items = tables.open_table(place, column, root).items()
        named = (replace(one, key=_renamed(one.key, place, name)) for one in items)
        yield from _tables(named, form, READ_ROWS)


def _renamed(key: str, place: str, name: str) -> str:
    return name + key[len(place) :] if key.startswith(place) else key


def _absolute(name: str, folder: str) -> str:
    """A path as every node sees it, whose current folders differ."""
    return name if is_url(name) else str(Path(folder, name))


def _schema(columns: Mapping[str, Any]) -> "pa.Schema":
    import pyarrow as pa

    own = [
        (KEY, pa.string()),
        (PATH, pa.binary()),
        (IMAGE, pa.large_binary()),
        (ERROR, pa.string()),
    ]
    return pa.schema([*own, *((name, kind or pa.string()) for name, kind in columns.items())])


def _tables(items: "Iterable[Item]", form: "pa.Schema", rows: int) -> "Iterator[pa.Table]":
    import pyarrow as pa

    rest = iter(items)
    while some := list(islice(rest, rows)):
        yield pa.Table.from_pylist([_row(item) for item in some], schema=form)


def _path_tables(items: "Iterable[Item]", form: "pa.Schema", workers: int) -> "Iterator[pa.Table]":
    """Paths in blocks, few enough in each that all workers get some."""
    rest, blocks = iter(items), WORKER_BLOCKS * max(1, workers)
    first = list(islice(rest, BLOCK_PATHS * blocks))
    return _tables(chain(first, rest), form, max(1, -(-len(first) // blocks)))


def _row(item: "Item") -> dict[str, Any]:
    """An item as a row; paths are bytes, for not all of them are text."""
    row = {**item.columns, KEY: text(item.key), ERROR: item.error}
    if isinstance(item.image, Encoded):
        return {**row, IMAGE: item.image.content}
    if item.image is None:
        return row
    place = item.image.address if isinstance(item.image, Url) else str(item.image.absolute())
    return {**row, PATH: os.fsencode(place)}
