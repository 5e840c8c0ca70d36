"""Atomic writes, exclusive locks and checks of files that are to be written."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from filelock import FileLock, Timeout

PROBE_BYTES = 2**16
"""Size of the file that `check_writable` writes."""


def error_text(err: object) -> str:
    """Text of an error; of an OSError, the path and the reason without its number."""
    if not isinstance(err, OSError) or err.filename is None:
        return str(err)
    if isinstance(err, FileExistsError):
        return f"{err.filename}: expected a folder, and there is a file of this name"
    return f"{err.filename}: {err.strerror}"


def first_line(err: BaseException) -> str:
    """First line of an error's text, or its type."""
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__


def printable(text: object) -> str:
    """Escape control characters and lone surrogates, for a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield an empty, hidden scratch file, which replaces the target when the block succeeds.

    Missing folders are made. Of a symbolic link the target is replaced, not the link. The scratch
    file has an ordinary file's mode, and is removed if the block raises. A device or a named pipe
    is never replaced: the content is written to it.
    """
    if is_special(path):
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder, "content")
            scratch.touch()
            yield scratch
            with scratch.open("rb") as content, Path(path).open("wb") as device:
                shutil.copyfileobj(content, device)
        return
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch_beside(target)
    try:  # around `touch` as well: a signal may arrive right after it
        scratch.touch(0o666, exist_ok=False)  # less the umask, which the system applies
        yield scratch
        scratch.replace(target)
    except OSError as err:
        if err.filename is None and err.errno is not None:  # a full disk gives no name
            err.filename = str(target)
        raise
    finally:
        scratch.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, atomically; missing folders are made, line ends kept."""
    with atomic_write(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="")


def write_bytes(path: str | Path, content: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a file atomically; missing folders are made.

    On a full disk, libraries that write weights abort the process or give no reason: let them write
    to memory, and write that here. With `sync` the file survives a loss of power.
    """
    with atomic_write(path) as scratch, scratch.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name: a hard link, or a copy where the file system allows none.

    Nothing is done if the target is this file or an earlier copy (of the same size and time);
    another file there is a FileExistsError. Missing folders are made; a symbolic link is followed.
    """
    source, target = Path(os.path.realpath(source)), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # another file system, one without links, or the name is taken
        os.link(source, target)
        return
    if os.path.lexists(target):
        if not _is_copy(source, target):
            raise FileExistsError(f"{target}: another file has this name")
        return
    scratch = _scratch_beside(target)
    try:
        shutil.copy2(source, scratch)
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)


def _is_copy(source: Path, target: Path) -> bool:
    """Whether two paths name one file, or a file and its copy by `shutil.copy2`."""
    if not target.is_file():
        return False
    one, other = source.stat(), target.stat()
    same_times = one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns
    return same_times or target.samefile(source)


def is_special(path: str | Path) -> bool:
    """Whether a path is written to and never replaced: a device, a named pipe, `/dev/fd/3`."""
    # open descriptors; one that is redirected to a file looks like a regular file
    if str(Path(path).absolute()).startswith(("/dev/fd/", "/dev/std", "/proc/")):
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextmanager
def writing(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for results in UTF-8; file names that are not text keep their bytes.

    A device or a named pipe is written to, any other file by `atomic_write`.
    """
    options = {"mode": "w", "encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    if is_special(path):
        with Path(path).open(**options) as file:  # type: ignore[call-overload]
            yield file
        return
    with atomic_write(path) as scratch, scratch.open(**options) as file:  # type: ignore[call-overload]
        yield file


def check_writable(path: str | Path) -> None:
    """Raise OSError unless a file can be written, before the work for it is done."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    if is_special(path):
        return
    if not target.parent.is_dir():
        raise NotADirectoryError(f"there is no folder {target.parent}")
    scratch = _scratch_beside(target)
    try:
        scratch.write_bytes(b"\0" * PROBE_BYTES)
    finally:
        scratch.unlink(missing_ok=True)


def _scratch_beside(target: Path) -> Path:
    """An unused hidden name."""
    return target.with_name(f".{target.name}.{secrets.token_urlsafe(6)}.part")


class InUseError(ValueError):
    """Another process holds the lock."""


@contextmanager
def exclusive_lock(target: Path) -> Iterator[None]:
    """Keep other processes of this machine from writing the same file or folder.

    Raises InUseError if another process holds the lock. The empty file `.NAME.lock` stays: removing
    it while others wait for it would let two of them in.
    """
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise InUseError(
            f"{target}: another command is writing it; wait, or choose another"
        ) from err
    try:
        yield
    finally:
        lock.release()
