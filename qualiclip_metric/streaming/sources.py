"""Arguments -> what is to be scored: files, folders, patterns, lists, tables, shards, URLs."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import chain, islice
from pathlib import Path
from typing import Any

from qualiclip_metric import images
from qualiclip_metric.decoding.formats import is_image
from qualiclip_metric.files import is_special
from qualiclip_metric.streaming import lists, shards, tables
from qualiclip_metric.streaming.items import (
    REMOTE_CURE,
    SCALE_CURE,
    Item,
    Url,
    is_url,
    item_for,
)


@dataclass
class Source:
    """Images that one argument names.

    Args:
        items: They, as they are found; called anew for each pass.
        count: How many there are; None where nobody knows before the end.
        columns: Columns of a table that are passed through.
    """

    items: Callable[[], Iterator[Item]]
    count: Callable[[], int | None] = lambda: None
    columns: tables.Columns = field(default_factory=dict)


@dataclass
class Sources:
    """Images that a command names.

    Args:
        parts: In the order of the arguments.
        left_out: What was left out of folders, as `images.Found` has it; it is filled while the
            items are gone through.
    """

    parts: Sequence[Source]
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of all tables, with their types."""
        merged: dict[str, Any] = {}
        for part in self.parts:
            for name, kind in part.columns.items():
                merged[name] = kind if merged.get(name, kind) == kind else None
        return merged

    def items(self) -> Iterator[Item]:
        """All images, in the order of the arguments, as they are found.

        Raises:
            ValueError: When a list, a table or a folder cannot be read any further.
        """
        self.left_out.clear()
        try:
            yield from chain.from_iterable(part.items() for part in self.parts)
        except OSError as err:
            raise ValueError(f"looking for images: {err}") from err

    def count(self) -> int | None:
        """How many there are; None where a part cannot tell."""
        counts = [part.count() for part in self.parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def note(self) -> str | None:
        """One line about what was left out, with the cure; None where nothing was."""
        return images.Found([], self.left_out).note()


def open_sources(
    arguments: Iterable[str],
    *,
    from_file: Sequence[str] = (),
    recursive: bool = True,
    column: str | None = None,
    root: str = "",
) -> Sources:
    """Find out what the arguments are; nothing but tables' columns and a first image is read.

    Args:
        arguments: Image files (whatever their suffix), folders, patterns, tables
            (`.csv .jsonl .parquet`), tar shards (`.tar .tar.gz .tgz`), each a path or a URL that
            fsspec knows; tables and shards may have braces, `{000..099}`. `-` is a list of paths
            on standard input.
        from_file: Lists of paths.
        recursive: Whether folders are entered to any depth.
        column: The column of tables that has the images; see `tables.open_table`.
        root: Folder or URL that relative paths of lists and tables are below.

    Raises:
        ValueError: When a name is empty, a pattern or a folder holds no image, or a table cannot be
            read.
    """
    found = Sources([])
    parts: list[Source] = []
    for name in arguments:
        if not name:
            raise ValueError("expected a file, a folder or a pattern, got an empty name")
        if name == "-":
            parts.append(_list(name, root))
        elif shards.is_shard(name):
            parts.append(_shards(expanded(name)))
        elif tables.suffix(name) in tables.OPENERS:
            parts.append(_tables(expanded(name), column, root))
        elif is_url(name):
            parts.append(_remote(name, recursive))
        else:
            parts.append(_local(name, recursive, found.left_out))
    parts += [_list(name, root) for name in from_file]
    found.parts = parts
    return found


# --- lists, tables, shards -------------------------------------------------------------------


def _list(name: str, root: str) -> Source:
    if name == "-" or (not is_url(name) and is_special(name)):  # it can be read but once
        return Source(lambda: (item_for(line, root) for line in lists.names(name)))
    next(lists.names(name), None)  # whether it can be read
    return Source(
        lambda: (item_for(line, root) for line in lists.names(name)),
        lambda: sum(1 for _ in lists.names(name)),
    )


def _tables(names: Sequence[str], column: str | None, root: str) -> Source:
    first = tables.open_table(names[0], column, root)

    def opened() -> Iterator[tables.Table]:
        yield first
        for name in names[1:]:
            table = tables.open_table(name, column, root)
            if list(table.columns) != list(first.columns):
                raise ValueError(
                    f"{name}: expected the columns of {first.name}, {', '.join(first.columns)}; "
                    f"got {', '.join(table.columns)}"
                )
            yield table

    return Source(
        lambda: (item for table in opened() for item in table.items()),
        lambda: sum(table.count() for table in opened()),
        first.columns,
    )


def _shards(names: Sequence[str]) -> Source:
    return Source(lambda: (item for name in names for item in shards.images(name)))


def expanded(name: str) -> list[str]:
    """Names that braces and patterns stand for, in order; a name with neither is itself."""
    if not is_url(name) and Path(name).exists():
        return [name]
    names = [name]
    if "{" in name:
        try:
            from braceexpand import braceexpand
        except ImportError as err:
            raise ValueError(f"{name}: braces need webdataset: {SCALE_CURE}") from err
        try:
            names = list(braceexpand(name))
        except ValueError as err:
            raise ValueError(f"{name}: braces that do not match ({err})") from err
    files: list[str] = []
    for one in names:
        if not has_magic(one):
            files.append(one)
        elif matches := _remote_glob(one) if is_url(one) else sorted(glob(one, recursive=True)):
            files += matches
        else:
            raise ValueError(f"{one}: no such file")
    return files


# --- files, folders, patterns ----------------------------------------------------------------


def _local(name: str, recursive: bool, left_out: Counter[str]) -> Source:
    path = Path(name)
    if path.is_dir():
        left: Counter[str] = Counter()
        if next(images.walk(path, recursive, left), None) is None:
            raise ValueError(images.nothing_found(name, left))
        return Source(
            lambda: (Item(str(p), p) for p in images.walk(path, recursive, left_out)),
            lambda: _count(name, recursive),
        )
    if has_magic(name) and not path.exists():
        files = [one for one in sorted(glob(name, recursive=True)) if Path(one).is_file()]
        if not files:
            raise ValueError(images.nothing_found(name, Counter()))
        return Source(lambda: (Item(str(Path(p)), Path(p)) for p in files), lambda: len(files))
    return Source(lambda: iter([Item(str(path), path)]), lambda: 1)


def _count(folder: str, recursive: bool) -> int:
    """How many images a folder seems to hold, by their names."""
    total, folders = 0, [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if recursive and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += is_image(entry.name)
        except OSError:  # as the walk does, go on
            continue
    return total


# --- URLs ------------------------------------------------------------------------------------


def _remote(name: str, recursive: bool) -> Source:
    if has_magic(name):
        files = _remote_glob(name)
        if not files:
            raise ValueError(images.nothing_found(name, Counter()))
        return Source(lambda: (Item(p, Url(p)) for p in files), lambda: len(files))
    if is_image(name):
        return Source(lambda: iter([Item(name, Url(name))]), lambda: 1)
    if not next(islice(_remote_walk(name, recursive), 1), None):
        raise ValueError(images.nothing_found(name, Counter()))
    return Source(lambda: (Item(p, Url(p)) for p in _remote_walk(name, recursive)))


def _remote_walk(name: str, recursive: bool) -> Iterator[str]:
    """Image files below a URL, one folder after the other."""
    fs, root = _file_system(name)
    for folder, _, files in fs.walk(root, maxdepth=None if recursive else 1):
        for file in sorted(files):
            if is_image(file) and not file.startswith("."):
                yield fs.unstrip_protocol(f"{folder}/{file}")


def _remote_glob(name: str) -> list[str]:
    fs, pattern = _file_system(name)
    return [fs.unstrip_protocol(path) for path in sorted(fs.glob(pattern))]


def _file_system(name: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(name)
    except (ImportError, ValueError) as err:
        raise ValueError(f"{name}: {err}; {REMOTE_CURE}") from err
    return fs, path
