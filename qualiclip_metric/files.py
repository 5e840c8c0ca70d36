"""Writing files so that a reader finds the old content or the new one, never a part of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A scratch path beside a file, which takes the file's place when the block ends well.

    Args:
        path: File to make or replace; missing folders are made. The new file gets the mode of an
            ordinary one (as the umask says).

    Yields:
        Path of an empty file in the same folder, hidden, to write to. It is removed where the block
        raises.

    Raises:
        OSError: Where the folder cannot be written to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(target)
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
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current
