"""Image files of folders and patterns, and a count of the files that are left out."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

from qualiclip_metric.decoding.formats import (
    CURE,
    FORMATS,
    SUFFIXES,
    format_of,
    is_image,
    missing_package,
)
from qualiclip_metric.files import printable

LINKED_FOLDERS = "links to folders"
NO_SUFFIX = "without a suffix"
MOST_REASONS = 8
"""Suffixes and other reasons that a note names; it counts the rest."""
READ_BY_CONTENT = frozenset(one.pillow or "RAW" for one in FORMATS) - {"BMP"}
"""Formats that tell a shard's image without its suffix. `BM` may begin a text as well."""


class LeftOut(Counter[str]):
    """Number of files that are not scored, by suffix or reason (`LINKED_FOLDERS`, ...)."""

    def admits(self, name: str, head: bytes = b"") -> bool:
        """Whether a file of a folder or a member of a shard is an image; if not, count it.

        The suffix of a shard's member may be the name of a field (`.img`, `.seg`): its first bytes
        decide where the suffix is not that of an image.
        """
        if is_image(name) or format_of(head) in READ_BY_CONTENT:
            return True
        suffix = PurePosixPath(name).suffix.lower()
        is_usual = suffix.isprintable() and 0 < len(suffix) < 16
        self[suffix if is_usual else NO_SUFFIX] += 1
        return False

    def note(self) -> str | None:
        """One line about the files left out, with the cure; None if there are none."""
        unread = Counter({one: n for one, n in self.items() if missing_package(f"a{one}")})
        notes = []
        if unread:
            kinds = ", ".join(f"{unread[suffix]} {suffix}" for suffix in sorted(unread))
            notes.append(f"left out, a package that reads them is missing: {kinds}; {CURE}")
        if others := self - unread:
            named = [f"{count} {reason}" for reason, count in others.most_common(MOST_REASONS)]
            if rest := others.total() - sum(n for _, n in others.most_common(MOST_REASONS)):
                named.append(f"{rest} others")
            cure = "; name the folders that are to be entered" if self[LINKED_FOLDERS] else ""
            notes.append(f"left out: {', '.join(named)}{cure}")
        return printable("; ".join(notes)) or None

    def nothing_found(self) -> str:
        """Message about a folder, a pattern or a shard that holds no image."""
        reason = self.note() or f"looked for {' '.join(sorted(SUFFIXES))}"
        return f"no image found; {reason}"


def matches(name: str) -> list[Path]:
    """Files that a pattern matches, sorted; a name with brackets that matches none is a file's."""
    found = [path for path in map(Path, sorted(glob(name, recursive=True))) if path.is_file()]
    only_brackets = not {"*", "?"} & set(name)
    return found or ([Path(name)] if only_brackets and is_image(name) else [])


def is_pattern(name: str) -> bool:
    """Whether a name is a glob pattern, and no file or folder of this very name exists."""
    return has_magic(name) and not Path(name).exists()


def find(paths: Iterable[str | Path], recursive: bool = True) -> list[Path]:
    """Find the image files of files, folders and glob patterns (which may use `**`), each once.

    A named file and the matches of a pattern may have any suffix, so that a wrong one is reported;
    in folders, `walk` finds the files with an image's suffix. Paths are in the order of the
    arguments, sorted within a folder or a pattern. ValueError when a name is empty, or a pattern or
    a folder holds no image.
    """
    found: list[Path] = []
    for name in map(str, paths):
        if not name:
            raise ValueError("expected a file, a folder or a pattern, got an empty name")
        left_out = LeftOut()
        if Path(name).is_dir():
            files = list(walk(name, recursive, left_out))
        else:
            files = matches(name) if is_pattern(name) else [Path(name)]
        if not files:
            raise ValueError(f"{name}: {left_out.nothing_found()}")
        found += files
    return list(dict.fromkeys(found))


def walk(
    folder: str | Path, recursive: bool = True, left_out: LeftOut | None = None
) -> Iterator[Path]:
    """Yield the image files of a folder, sorted, without hidden ones; count others in `left_out`.

    Folders are entered to any depth, links to folders are not. The names of one folder at a time
    are in memory. A folder that cannot be listed and a broken link are among the paths, so that
    reading them reports an error.
    """
    left_out = LeftOut() if left_out is None else left_out
    names, folders = [], set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif not is_image(entry.name) and entry.is_symlink() and entry.is_dir():
                    if recursive:
                        left_out[LINKED_FOLDERS] += 1
                elif left_out.admits(entry.name):
                    names.append(entry.name)
    except OSError:
        yield Path(folder)
        return
    for name in sorted([*names, *folders] if recursive else names):
        path = Path(folder, name)
        if name in folders:
            yield from walk(path, recursive, left_out)
        elif missing_package(path):
            left_out[path.suffix.lower()] += 1
        elif _is_special_file(path):
            left_out["devices, pipes or links to folders"] += 1
        else:
            yield path


def count(folder: str | Path, recursive: bool = True) -> int:
    """Count the images of a folder by their names, in less time than `walk` takes."""
    total, folders = 0, [str(folder)]
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
        except OSError:  # `walk` reports it
            continue
    return total


def _is_special_file(path: Path) -> bool:
    """Whether the path is a device, a pipe or a link to a folder; False where unknown."""
    try:
        return not path.is_file() and path.exists()
    except OSError:
        return False
