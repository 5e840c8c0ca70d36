"""Writing files so that a reader finds the old content or the new one, never a part of it."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PROBE_BYTES = 2**16
"""What `check_writable` writes to see whether there is room."""


def error_text(err: object) -> str:
    """An error's text; of one of the system, the path and the reason without its number."""
    if not isinstance(err, OSError) or err.filename is None:
        return str(err)
    if isinstance(err, FileExistsError):
        return f"{err.filename}: expected a folder, and there is a file of this name"
    return f"{err.filename}: {err.strerror}"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A scratch path beside a file, which takes the file's place when the block ends well.

    Args:
        path: File to make or replace; missing folders are made. Of a symbolic link the target is
            replaced, not the link. The new file gets the mode of an ordinary one (as the umask
            says).

    Yields:
        Path of an empty file in the same folder, hidden, to write to. It is removed where the block
        raises.

    Raises:
        OSError: Where the folder cannot be written to.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch_beside(target)
    try:  # from here on, for a signal may come as soon as the file is there
        scratch.touch(0o600, exist_ok=False)
        yield scratch
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(target)
    except OSError as err:
        if err.filename is None and err.errno is not None:  # of a full disk it says no more
            err.filename = str(target)
        raise
    finally:
        scratch.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; missing folders are made.

    Args:
        path: File to make or replace.
        text: Its content; line ends are kept as they are.

    Raises:
        OSError: Where it cannot be written.
    """
    with atomic_write(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="")


def write_bytes(path: str | Path, content: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a file, whole or not at all; missing folders are made.

    Libraries that write files of weights themselves abort the process or name no reason where the
    disk is full: they write to memory, and this writes to the disk.

    Args:
        path: File to make or replace.
        content: What is in it.
        sync: Whether to wait until it is on the disk, so that it survives a loss of power, too.

    Raises:
        OSError: Where it cannot be written.
    """
    with atomic_write(path) as scratch, scratch.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def is_special(path: str | Path) -> bool:
    """Whether a path is to be written to, never replaced: a device, a named pipe, `/dev/fd/3`."""
    if str(Path(path).absolute()).startswith(("/dev/", "/proc/")):
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextmanager
def writing(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for results in UTF-8; file names that are no text keep their bytes.

    Args:
        path: A device or a named pipe is written to. Any other file takes its place when the block
            ends well, as by `atomic_write`.

    Yields:
        The open file.

    Raises:
        OSError: Where it cannot be written.
    """
    options = {"mode": "w", "encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    if is_special(path):
        with Path(path).open(**options) as file:  # type: ignore[call-overload]
            yield file
        return
    with atomic_write(path) as scratch, scratch.open(**options) as file:  # type: ignore[call-overload]
        yield file


def check_writable(path: str | Path) -> None:
    """Find out whether a file could be written, before the work for it is done.

    Args:
        path: File to make or replace. Its folder must be there.

    Raises:
        OSError: Where it is a folder, its folder is missing or read-only, or the disk is full.
    """
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
    """A name that no file has."""
    return target.with_name(f".{target.name}.{secrets.token_urlsafe(6)}.part")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current
