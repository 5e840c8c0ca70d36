"""Boxes of ISO base media files (AVIF, HEIF): colours of the primary image, and a repair."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_LARGEST_META = 2**24
"""Bytes of the largest meta box that is read; real ones have a few thousand."""


def cicp(file: BinaryIO) -> tuple[int, int] | None:
    """Read primaries and transfer (ITU-T H.273) of the primary image's `nclx` property.

    None where the image has no such property, or the boxes are damaged.
    """
    try:
        meta = _meta(file)
        children = dict(_boxes(meta[4:]))
        properties = dict(_boxes(children[b"iprp"]))
        version, data = children[b"pitm"][0], children[b"pitm"][4:]
        primary = int.from_bytes(data[: 4 if version else 2], "big")
        listed = list(_boxes(properties[b"ipco"]))
        for kind, content in _boxes(children[b"iprp"]):
            for index in _associated(content, primary) if kind == b"ipma" else ():
                name, value = listed[index - 1]
                if name == b"colr" and value[:4] == b"nclx":
                    return int.from_bytes(value[4:6], "big"), int.from_bytes(value[6:8], "big")
    except (KeyError, IndexError):
        pass
    return None


def with_one_association(content: bytes) -> bytes | None:
    """Merge the two property tables (`ipma`) of an AVIF file, which libavif refuses.

    libheif reads such files, and so do browsers. The file keeps its length, so that offsets hold.
    None if it has no two such tables of one kind.
    """
    start = content.find(b"ipma") - 4
    iprp = content.rfind(b"iprp", 0, max(start, 0)) - 4
    size = int.from_bytes(content[start : start + 4], "big")
    first, rest = content[start : start + size], content[start + size :]
    second = rest[: int.from_bytes(rest[:4], "big")]
    if min(start, iprp) < 0 or second[4:12] != first[4:12] or len(first) < 16:
        return None
    count = int.from_bytes(first[12:16], "big") + int.from_bytes(second[12:16], "big")
    entries = first[16:] + second[16:]
    table = struct.pack(">I8sI", 16 + len(entries), first[4:12], count) + entries
    length = int.from_bytes(content[iprp : iprp + 4], "big") - 16  # a header less
    properties = struct.pack(">I", length) + content[iprp + 4 : start] + table
    free = struct.pack(">I4s8x", 16, b"free")
    return content[:iprp] + properties + free + rest[len(second) :]


def _meta(file: BinaryIO) -> bytes:
    """The content of the first meta box at the top level."""
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[:4], "big") - 8
        if size == 1 - 8:  # a 64-bit size follows
            size = int.from_bytes(file.read(8), "big") - 16
        if size < 0:
            break
        if head[4:] == b"meta":
            return file.read(min(size, _LARGEST_META))
        file.seek(size, 1)
    raise KeyError("meta")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes that lie one after the other."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _associated(ipma: bytes, item: int) -> Iterator[int]:
    """Numbers, from 1, of an item's properties."""
    version, wide = ipma[0], ipma[3] & 1
    id_bytes, index_bytes = (2 if version < 1 else 4), (2 if wide else 1)
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        found = int.from_bytes(ipma[at : at + id_bytes], "big")
        count = ipma[at + id_bytes]
        at += id_bytes + 1
        for _ in range(count):
            index = int.from_bytes(ipma[at : at + index_bytes], "big")
            at += index_bytes
            if found == item:
                yield index & (0x7FFF if wide else 0x7F)  # the top bit says "essential"
