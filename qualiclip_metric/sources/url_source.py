"""Image files behind URLs that fsspec opens: folders and patterns."""

from collections.abc import Iterator
from typing import Any

from qualiclip_metric.extras import require
from qualiclip_metric.sources.folders import LeftOut
from qualiclip_metric.sources.item import REMOTE_CURE, is_url


def is_file(name: str) -> bool:
    """Whether a URL names a file; a web page may be the listing of a folder."""
    fs, path = file_system(name)
    try:
        info = fs.info(path)
    except FileNotFoundError:
        return False
    return bool(info["type"] == "file" and info.get("mimetype") != "text/html")


def walk(name: str, recursive: bool, left_out: LeftOut) -> Iterator[str]:
    """Image files below a URL, one folder after the other."""
    fs, root = file_system(name)
    for folder, _, files in fs.walk(root, maxdepth=None if recursive else 1):
        for file in sorted(files):
            if not file.startswith(".") and left_out.admits(file):
                yield _url_of(fs, f"{folder}/{file}" if folder else file, name)


def matches(name: str) -> list[str]:
    """URLs that a pattern matches, sorted."""
    fs, pattern = file_system(name)
    return [_url_of(fs, path, name) for path in sorted(fs.glob(pattern))]


def _url_of(fs: Any, path: str, name: str) -> str:
    """URL of a path within the file system of a URL, which fsspec may have opened by a chain."""
    first, chained, rest = name.partition("::")
    url = fs.unstrip_protocol(path)
    return f"{url}{chained}{rest}" if is_url(first) else f"{first}{chained}{url}"


def file_system(name: str) -> tuple[Any, str]:
    """File system of fsspec and path within it; ValueError with the cure if there is none."""
    core = require("fsspec.core", "remote", name)
    try:
        fs, path = core.url_to_fs(name)
    except (ImportError, ValueError) as err:
        raise ValueError(f"{name}: {err}; {REMOTE_CURE}") from err
    return fs, path
