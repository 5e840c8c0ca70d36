"""An image file on the disk or in memory, and the error about it."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO


class ImageError(ValueError):
    """A file that could not be read as an image; the message names the file and the reason."""


@dataclass(frozen=True)
class Encoded:
    """An image file in memory, for example from a tar shard; read like one on the disk."""

    name: str  # for messages; its suffix tells a camera's raw data
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


Source = str | Path | Encoded
"""A file: its path, or its content."""


def open_binary(source: Source) -> BinaryIO:
    """The file, open for reading."""
    return BytesIO(source.content) if isinstance(source, Encoded) else Path(source).open("rb")


def byte_count(source: Source) -> int:
    """Size of the file."""
    return len(source.content) if isinstance(source, Encoded) else Path(source).stat().st_size
