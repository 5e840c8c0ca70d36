"""Images in shards: tar and zip files, read from front to back; tar also at random, by an index."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.decoding.formats import HEAD, is_image, missing_package
from qualiclip_metric.extras import require
from qualiclip_metric.sources.folders import LeftOut
from qualiclip_metric.sources.item import ZIPS, ZSTD, Item, file_name, open_binary

MEMBER_BYTES = 2**31
"""Largest member that is read into memory: a zip of a few MB may claim to hold terabytes."""


class _Stored(NamedTuple):
    """A member as the archive lists it; `error` says why it cannot be read."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    error: str | None = None


def items(shard: str, name: str = "", left_out: LeftOut | None = None) -> Iterator[Item]:
    """Images of a shard (a path or URL), in its order, by their suffix or their content.

    Yields an item for each image, its key `name/member` (default: the shard's path); with an error
    if it is a link. If the shard cannot be read to its end, or holds no image, an item under the
    shard's name states the reason. `left_out` counts the other members that are not hidden.
    """
    name = name or shard
    is_zip = file_name(shard).endswith(ZIPS)
    left, count = LeftOut(), 0
    try:
        with open_binary(shard) as file:
            for member in (_zip_members if is_zip else _tar_members)(file, shard):
                if item := _item(member, f"{name}/{member.name}", left):
                    count += 1
                    yield item
        if not count:
            yield Item(name, None, error=left.nothing_found())
    except FileNotFoundError:
        yield Item(name, None, error="no such file")
    except Exception as err:  # of the archive, of the decompression, of the store
        reason = str(err) or type(err).__name__
        kind = "zip" if is_zip else "tar"
        yield Item(name, None, error=f"cannot be read as a {kind} file to its end ({reason})")
    if left_out is not None:
        left_out.update(left)


def _item(member: _Stored, key: str, left_out: LeftOut) -> Item | None:
    """Read a member; None if it is hidden or no image."""
    if _is_hidden(member.name):
        return None
    if member.size > MEMBER_BYTES and not member.error:
        member = member._replace(error=f"{member.size} bytes, expected at most {MEMBER_BYTES}")
    if member.error:
        return Item(key, None, error=member.error) if left_out.admits(member.name) else None
    try:
        with member.open() as file:
            head = b"" if is_image(member.name) else file.read(HEAD)
            if left_out.admits(member.name, head):
                return Item(key, Encoded(key, head + file.read()))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as err:
        # a damaged, encrypted or unusually compressed member of a zip; the others can be read
        return Item(key, None, error=f"cannot be read from the zip file ({err})")
    return None


def _tar_members(file: IO[bytes], shard: str) -> Iterator[_Stored]:
    stream: Any = file
    if file_name(shard).endswith(ZSTD):
        stream = require("pyarrow", "scale", shard).CompressedInputStream(file, "zstd")
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        extract: Any = tar.extractfile  # never None where there is no link
        for info in tar:
            tar.members = []  # type: ignore[attr-defined]  # else tarfile keeps all of them
            if not info.isdir():
                yield _Stored(info.name, info.size, partial(extract, info), _link_error(info))
        _check_end(tar.fileobj)


def _zip_members(file: IO[bytes], shard: str) -> Iterator[_Stored]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _Stored(info.filename, info.file_size, partial(archive.open, info))


def _link_error(info: tarfile.TarInfo) -> str | None:
    """Why a member has no content of its own; None if it has."""
    if info.isreg():
        return None
    kind = f"a link to {info.linkname}" if info.linkname else "a device or a pipe"
    return f"{kind}, expected a file: tar --dereference --hard-dereference packs what links name"


@dataclass(frozen=True)
class Member:
    """An image file within an uncompressed tar shard."""

    shard: Path
    name: str
    offset: int  # of its content in the shard, bytes
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def read_bytes(self) -> bytes:
        """Read its content; each call opens the shard, so that threads and processes may share it.

        Raises OSError if the shard cannot be read, or has become shorter.
        """
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"the shard ends after {len(content)} of its {self.size} bytes")
        return content


def members(shard: Path) -> list[Member]:
    """Index the images of an uncompressed tar file by its headers; their contents are not read.

    Gives the members that a folder with the same files would give, in the same order. ValueError if
    the file is compressed, not a tar file, damaged or without an image, or an image is a link.
    """
    found, left_out = [], LeftOut()
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                if info.isdir() or _is_hidden(info.name):
                    continue
                if missing_package(info.name):
                    left_out[PurePosixPath(info.name).suffix.lower()] += 1
                    continue
                content = None if is_image(info.name) else tar.extractfile(info)
                if not left_out.admits(info.name, content.read(HEAD) if content else b""):
                    continue
                if error := _link_error(info):
                    raise ValueError(f"{shard}/{info.name}: {error}")
                found.append(Member(shard, info.name, info.offset_data, info.size))
            assert tar.fileobj is not None
            tar.fileobj.seek(tar.offset)
            _check_end(tar.fileobj)
    except FileNotFoundError as err:
        raise ValueError(f"{shard}: no such file") from err
    except (tarfile.TarError, EOFError, OSError) as err:
        raise ValueError(
            f"{shard}: expected an uncompressed tar file that is whole, for its images are read at "
            f"random ({err}); unpack a compressed one, copy a damaged one again"
        ) from err
    if not found:
        raise ValueError(f"{shard}: {left_out.nothing_found()}")
    return sorted(found, key=lambda member: PurePosixPath(member.name).parts)


def _check_end(rest: Any) -> None:
    """Raise ReadError unless only zeros follow: tarfile takes a damaged header for the end."""
    while block := rest.read(2**20):
        if block.strip(b"\0"):
            raise tarfile.ReadError("damaged header")


def _is_hidden(member: str) -> bool:
    parts = PurePosixPath(member).parts  # without the `.` that `tar -C photos .` writes first
    return any(part.startswith(".") for part in parts)
