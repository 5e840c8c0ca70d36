"""Images in WebDataset shards: tar files, read from front to back, or at random by an index."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.decoding.formats import is_image, missing_package
from qualiclip_metric.sources.item import Item, open_binary


def items(shard: str, name: str = "") -> Iterator[Item]:
    """Images of a shard, in its order; members with other suffixes are left out.

    Args:
        shard: Path, or URL that fsspec opens.
        name: What keys begin with; by default the shard's path.

    Yields:
        An item for each image, its key `name/member`. If the shard cannot be read, or not to its
        end, an item with the shard's name as key and the reason.
    """
    name = name or shard
    try:
        with open_binary(shard) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for info in tar:
                tar.members = []  # type: ignore[attr-defined]  # else tarfile keeps all of them
                if info.isreg() and _is_shown(info.name):
                    key = f"{name}/{info.name}"
                    content = tar.extractfile(info)
                    assert content is not None  # it is a regular file
                    yield Item(key, Encoded(key, content.read()))
            _check_end(tar.fileobj)
    except FileNotFoundError:
        yield Item(name, None, error="no such file")
    except Exception as err:  # of tarfile, of the decompression, of the store
        reason = str(err) or type(err).__name__
        yield Item(name, None, error=f"cannot be read as a tar file to its end ({reason})")


@dataclass(frozen=True)
class Member:
    """An image file within an uncompressed tar shard.

    Args:
        shard: The tar file.
        name: Of the member.
        offset: Where its content begins in the shard, bytes.
        size: Of its content, bytes.
    """

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def read_bytes(self) -> bytes:
        """Read its content; each call opens the shard, so that threads and processes may share it.

        Raises:
            OSError: If the shard cannot be read, or has become shorter.
        """
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"the shard ends after {len(content)} of its {self.size} bytes")
        return content


def members(shard: Path) -> list[Member]:
    """Index the images of a shard by its headers; their contents are not read.

    Args:
        shard: An uncompressed tar file.

    Returns:
        The members that a folder with the same files would give, in the same order.

    Raises:
        ValueError: If the file is compressed, not a tar file, damaged or without an image.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            found = [
                Member(shard, info.name, info.offset_data, info.size)
                for info in tar
                if info.isreg() and _is_shown(info.name) and not missing_package(info.name)
            ]
            assert tar.fileobj is not None
            tar.fileobj.seek(tar.offset)
            _check_end(tar.fileobj)
    except FileNotFoundError as err:
        raise ValueError(f"{shard}: no such file") from err
    except (tarfile.TarError, EOFError, OSError) as err:
        raise ValueError(
            f"{shard}: expected an uncompressed tar file that is whole, for its images are read at "
            f"random ({err}); gunzip a compressed one, copy a damaged one again"
        ) from err
    if not found:
        raise ValueError(f"{shard}: no image found in the tar file")
    return sorted(found, key=lambda member: PurePosixPath(member.name).parts)


def _check_end(rest: Any) -> None:
    """Check that only zeros follow; tarfile takes a damaged header for the end of the file.

    Raises:
        ReadError: If there is anything else.
    """
    while block := rest.read(2**20):
        if block.strip(b"\0"):
            raise tarfile.ReadError("damaged header")


def _is_shown(member: str) -> bool:
    parts = PurePosixPath(member).parts  # without the `.` that `tar -C photos .` writes first
    return is_image(member) and not any(part.startswith(".") for part in parts)
