"""Arguments of a command -> images to be scored: files, folders, lists, tables, shards, URLs.

A kind of source is a function that returns a `SourcePart`; `open_sources` chooses it by the name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import chain
from pathlib import Path
from typing import Any

from qualiclip_metric.decoding.formats import is_image
from qualiclip_metric.extras import require
from qualiclip_metric.files import is_special
from qualiclip_metric.sources import folders
from qualiclip_metric.sources.folders import LeftOut
from qualiclip_metric.sources.item import (
    Item,
    Url,
    file_name,
    is_shard,
    is_url,
    item_for,
)

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")

Columns = dict[str, Any]
"""Column -> its pyarrow type; None for text, as in csv and jsonl."""


@dataclass
class SourcePart:
    """The images that one argument names."""

    items: Callable[[], Iterator[Item]]  # finds them; called again for each pass
    count: Callable[[], int | None] = lambda: None  # None: unknown before the end
    columns: Columns = field(default_factory=dict)  # of a table, written with the scores
    files: Sequence[str] = ()  # shards and tables with images, for the nodes of a cluster to read


@dataclass
class Sources:
    """The images that a command names: a part for each argument, in their order.

    `column` and `root` are those of `open_sources`; `items` fills `left_out`.
    """

    parts: Sequence[SourcePart]
    column: str | None = None
    root: str = ""
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def columns(self) -> Columns:
        """Columns of all tables, with their types; text where two tables disagree."""
        merged: Columns = {}
        for part in self.parts:
            for name, kind in part.columns.items():
                merged[name] = kind if merged.get(name, kind) == kind else None
        return merged

    def items(self) -> Iterator[Item]:
        """Find all images, in the order of the arguments.

        Raises ValueError if a list, a table or a folder cannot be read to its end.
        """
        self.left_out.clear()
        try:
            yield from chain.from_iterable(part.items() for part in self.parts)
        except OSError as err:
            raise ValueError(f"looking for images: {err}") from err

    def count(self) -> int | None:
        """How many images there are; None if a part cannot tell."""
        counts = [part.count() for part in self.parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def note(self) -> str | None:
        """One line about the files left out, with the cure; None if there are none."""
        return self.left_out.note()


def open_sources(
    arguments: Iterable[str],
    *,
    from_file: Sequence[str] = (),
    recursive: bool = True,
    column: str | None = None,
    root: str = "",
) -> Sources:
    """Determine the kind of each argument; of tables and lists only the beginning is read.

    Args:
        arguments: Image files (with any suffix), folders, patterns, tables (`TABLES`) and shards
            (tar or zip), each a path or a URL that fsspec opens. Tables and shards may have braces,
            `{000..099}`. `-` is a list of paths on standard input.
        from_file: Lists of paths, one a line or NUL-separated.
        recursive: Whether folders are entered to any depth.
        column: Tables: the column of paths, URLs or images.
        root: Folder or URL of relative paths in lists and tables.

    Raises:
        ValueError: If a name is empty, a pattern or a folder has no image, or a table cannot be
            read.
    """
    parts: list[SourcePart] = []
    left_out = LeftOut()
    for name in arguments:
        if not name:
            raise ValueError("expected a file, a folder or a pattern, got an empty name")
        is_folder = not is_url(name) and Path(name).is_dir()
        if name == "-":
            parts.append(_list(name, root))
        elif is_shard(name) and not is_folder:
            parts.append(_shards(expand(name), left_out))
        elif file_name(name).endswith(TABLES) and not is_folder:
            parts.append(_tables(expand(name), column, root, left_out))
        elif is_url(name):
            parts.append(_remote(name, recursive, left_out))
        else:
            parts.append(_local(name, recursive, left_out))
    parts += [_list(name, root) for name in from_file]
    return Sources(parts, column, root, left_out)


# --- shards and tables -----------------------------------------------------------------------


def _shards(names: Sequence[str], left_out: LeftOut) -> SourcePart:
    from qualiclip_metric.sources import shard_source

    return SourcePart(
        lambda: (item for name in names for item in shard_source.items(name, left_out=left_out)),
        files=names,
    )


def _tables(names: Sequence[str], column: str | None, root: str, left_out: LeftOut) -> SourcePart:
    from qualiclip_metric.sources import table_source

    first = table_source.open_table(names[0], column, root)

    def tables() -> Iterator[table_source.Table]:
        yield first
        for name in names[1:]:
            table = table_source.open_table(name, column, root)
            if list(table.columns) != list(first.columns):
                raise ValueError(
                    f"{name}: expected the columns of {first.name}, {', '.join(first.columns)}; "
                    f"got {', '.join(table.columns)}"
                )
            yield table

    return SourcePart(
        lambda: (item for table in tables() for item in table.items(left_out)),
        lambda: sum(table.count() for table in tables()),
        dict(first.columns),
        names if first.holds_images else (),
    )


def expand(name: str) -> list[str]:
    """Expand the braces and patterns of a name, in order; ValueError if they match nothing."""
    if not is_url(name) and Path(name).exists():
        return [name]
    names = [name]
    if "{" in name:
        braceexpand = require("braceexpand", "scale", f"{name}: braces")
        try:
            names = list(braceexpand.braceexpand(name))
        except ValueError as err:
            raise ValueError(f"{name}: braces that do not match ({err})") from err
    files: list[str] = []
    for one in names:
        if not _is_pattern(one):
            files.append(one)
        elif matches := _matches(one):
            files += matches
        else:
            raise ValueError(f"{one}: no such file")
    return files


def _matches(pattern: str) -> list[str]:
    if not is_url(pattern):
        return sorted(glob(pattern, recursive=True))
    from qualiclip_metric.sources import url_source

    return url_source.matches(pattern)


# --- lists -----------------------------------------------------------------------------------


def _list(name: str, root: str) -> SourcePart:
    from qualiclip_metric.sources import list_source

    def items() -> Iterator[Item]:
        return (item_for(line, root) for line in list_source.names(name))

    if name == "-" or (not is_url(name) and is_special(name)):  # it can be read only once
        return SourcePart(items)
    next(list_source.names(name), None)  # an error now if it cannot be read
    return SourcePart(items, lambda: sum(1 for _ in list_source.names(name)))


# --- files, folders, patterns ----------------------------------------------------------------


def _files(names: Sequence[str], argument: str) -> SourcePart:
    if not names:
        raise ValueError(f"{argument}: {LeftOut().nothing_found()}")
    return SourcePart(lambda: (item_for(name) for name in names), lambda: len(names))


def _local(name: str, recursive: bool, left_out: LeftOut) -> SourcePart:
    path = Path(name)
    if path.is_dir():
        left = LeftOut()
        if next(folders.walk(path, recursive, left), None) is None:
            raise ValueError(f"{name}: {left.nothing_found()}")
        return SourcePart(
            lambda: (Item(str(p), p) for p in folders.walk(path, recursive, left_out)),
            lambda: folders.count(path, recursive),
        )
    if folders.is_pattern(name):
        return _files([str(match) for match in folders.matches(name)], name)
    return _files([str(path)], name)


def _is_pattern(name: str) -> bool:
    """Whether a path or URL is a glob pattern; in a web address `?` begins the query."""
    return "*" in name if name.startswith(("http://", "https://")) else has_magic(name)


def _remote(name: str, recursive: bool, left_out: LeftOut) -> SourcePart:
    from qualiclip_metric.sources import url_source

    if _is_pattern(name):
        return _files(url_source.matches(name), name)
    if is_image(file_name(name)) or url_source.is_file(name):
        return _files([name], name)
    left = LeftOut()
    if next(url_source.walk(name, recursive, left), None) is None:
        raise ValueError(f"{name}: {left.nothing_found()}")
    return SourcePart(lambda: (Item(p, Url(p)) for p in url_source.walk(name, recursive, left_out)))
