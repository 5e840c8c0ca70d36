"""Copies of the images that reach the bar, in a folder with the same folders below."""

import os
from collections.abc import Iterable, Iterator, Sequence
from glob import has_magic
from pathlib import Path

from qualiclip_metric.files import error_text, link_or_copy
from qualiclip_metric.scoring.columns import Row
from qualiclip_metric.sources.arguments import TABLES
from qualiclip_metric.sources.item import Item, is_shard, is_url


class KeptFiles:
    """Links or copies the files of kept rows to a folder, as the rows come.

    A file keeps its name relative to the folder that all arguments of the command share, or else
    its whole path. No file is moved or replaced. `root` is that of relative paths in lists and
    tables. ValueError if an argument is a shard or a URL, or a folder that holds the target.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], root: str = "") -> None:
        self.folder = folder
        self.copied = self.failed = 0
        self._reason = ""
        self._paths: dict[str, Path] = {}  # key -> file, of the images on their way
        if elsewhere := [name for name in (*arguments, root) if is_shard(name) or is_url(name)]:
            raise ValueError(f"--copy-kept: expected files on this disk, got {elsewhere[0]}")
        target = Path(os.path.realpath(folder))
        for name in arguments:
            if Path(name).is_dir() and target.is_relative_to(os.path.realpath(name)):
                raise ValueError(
                    f"--copy-kept: expected a folder outside {name}, whose images are scored; got "
                    f"{folder}"
                )
        self._base = os.path.commonpath([_folder_of(name, root) for name in arguments])

    def remember(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, and keep where their files are until their rows pass."""
        for item in items:
            if isinstance(item.image, Path):
                self._paths[item.key] = item.image
            yield item

    def copy(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, each after the file of a kept one has its copy."""
        for row in rows:
            path = self._paths.pop(row.key, None)
            if row.keep:
                self._copy(row.key, path)
            yield row

    def _copy(self, key: str, path: Path | None) -> None:
        try:
            if path is None:
                raise FileNotFoundError(f"{key}: no file on this disk")
            link_or_copy(path, self.folder / self._name(path))
            self.copied += 1
        except OSError as err:
            self.failed += 1
            self._reason = self._reason or error_text(err)

    def _name(self, path: Path) -> Path:
        whole = _absolute(path)
        below = whole.is_relative_to(self._base)
        return whole.relative_to(self._base if below else whole.anchor)

    def note(self, before: int) -> str:
        """One line about the copies; `before` is the number of rows that were there already."""
        text = f"{self.copied} kept images are in {self.folder}"
        if self.failed:
            text += f"; {self.failed} were not copied, as in {self._reason}"
        if before:
            text += f"; those of {before} earlier rows are where that run put them"
        return text


def _absolute(path: str | Path) -> Path:
    """Absolute path without `..`; links are not followed, so that files keep their names."""
    return Path(os.path.normpath(Path(path).absolute()))


def _folder_of(argument: str, root: str) -> Path:
    """The folder from which an argument's images have their names."""
    if argument == "-" or argument.lower().endswith(TABLES):
        return _absolute(root)
    path = Path(argument)
    if not path.is_dir():
        path = path.parent
    while has_magic(str(path)) and not path.exists():
        path = path.parent
    return _absolute(path)
