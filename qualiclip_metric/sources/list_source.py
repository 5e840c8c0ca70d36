"""Lists of paths: a file or standard input, one path a line, or separated by NUL."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO

from qualiclip_metric.sources.item import open_binary

CHUNK = 2**16
"""Bytes that are read at once."""


def names(name: str) -> Iterator[str]:
    """Read the names in a list, a path or URL or `-` for standard input, as they come.

    Raises OSError if it cannot be read, ValueError if it has both separators.
    """
    if name == "-":
        yield from _split(_standard_input(), name)
        return
    with open_binary(name) as file:
        yield from _split(file, name)


def _standard_input() -> IO[bytes]:
    """Unbuffered: a thread that waits for input would hold the buffer's lock at the end."""
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except OSError:  # not a file
        return sys.stdin.buffer


def _split(file: IO[bytes], name: str) -> Iterator[str]:
    """Names that end in NUL, as `find -print0` writes them, or else in line ends."""
    # `read1` returns the bytes that have arrived; `read` would wait for the whole chunk
    read = getattr(file, "read1", file.read)
    separator, rest = b"", b""
    while chunk := read(CHUNK):
        rest += chunk
        if not separator:  # a first short read of a pipe may hold neither
            separator = b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b""
            if not separator:
                continue
        *whole, rest = rest.split(separator)
        yield from _decoded(whole, separator, name)
    yield from _decoded([rest], separator, name)


def _decoded(pieces: Iterable[bytes], separator: bytes, name: str) -> Iterator[str]:
    for piece in pieces:
        text = piece if separator == b"\0" else piece.removesuffix(b"\r")
        if b"\0" in text:
            raise ValueError(
                f"{name}: expected names that all end in NUL or all end in line ends, got a NUL "
                "after a line end"
            )
        if text:
            yield os.fsdecode(text)
