"""Lists of paths: a file or standard input, one path a line, or separated by NUL."""

import os
import sys
from collections.abc import Iterator
from typing import IO

from qualiclip_metric.streaming.items import opened

CHUNK = 2**16


def names(where: str) -> Iterator[str]:
    """Names in a list, as they come.

    Args:
        where: Path or URL of the list; `-` for standard input. With a NUL in its first 64 KB the
            names end in NUL, as those of `find -print0`; else in line ends, empty lines left out.

    Raises:
        OSError: Where it cannot be read.
    """
    if where == "-":
        yield from _split(_standard_input())
        return
    with opened(where) as file:
        yield from _split(file)


def _standard_input() -> IO[bytes]:
    """Without its buffer, whose lock a thread that waits for input would hold at the end."""
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except OSError:  # it is no file
        return sys.stdin.buffer


def _split(file: IO[bytes]) -> Iterator[str]:
    # where there is a buffer, read would wait for the whole chunk, and read1 gives what is there
    read = getattr(file, "read1", file.read)
    end, rest = b"", b""
    while chunk := read(CHUNK):
        end = end or (b"\0" if b"\0" in chunk else b"\n")
        *whole, rest = (rest + chunk).split(end)
        yield from _named(whole, end)
    yield from _named([rest], end)


def _named(pieces: list[bytes], end: bytes) -> Iterator[str]:
    for piece in pieces:
        name = piece.removesuffix(b"\r") if end == b"\n" else piece
        if name:
            yield os.fsdecode(name)
