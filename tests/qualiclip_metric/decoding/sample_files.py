"""Image files with known pixels, and what they should read as."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qualiclip_metric.images import read

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (40, 52, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (40, 52, 3), dtype=np.uint16)


def png(
    depth: int, kind: int, samples: NDArray[np.generic], transparent: bytes = b"", width: int = 52
) -> bytes:
    """A PNG of any bit depth and colour type, written by its specification."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, len(samples), depth, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(
    values: NDArray[np.generic],
    bits: int,
    photometric: int,
    colours: NDArray[np.generic] | None = None,
    planar: int = 1,
    order: str = "<",
    fill_order: int = 1,
) -> bytes:
    """An uncompressed TIFF of any depth, (H, W, C) of integers, written by its specification."""
    height, width, channels = values.shape
    planes = [values] if planar == 1 else [values[..., i] for i in range(channels)]
    strips = [_packed(plane.reshape(height, -1), bits, order) for plane in planes]
    if fill_order == 2:
        strips = [np.packbits(np.unpackbits(np.frombuffer(strip, "u1")).reshape(-1, 8)[:, ::-1])
                  .tobytes() for strip in strips]  # fmt: skip
    sizes = [len(strip) for strip in strips]
    tags = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * channels), (259, "H", [1]),
        (262, "H", [photometric]), (266, "H", [fill_order]), (273, "I", sizes),
        (277, "H", [channels]), (278, "I", [height]), (279, "I", sizes), (284, "H", [planar]),
        *([] if colours is None else [(320, "H", list(colours))]),
    ]  # fmt: skip
    end = 8 + 2 + 12 * len(tags) + 4
    offset = end + sum(
        len(numbers) * struct.calcsize(kind)
        for _, kind, numbers in tags
        if len(numbers) * struct.calcsize(kind) > 4
    )
    offsets = [offset + sum(sizes[:i]) for i in range(len(sizes))]
    entries, body = b"", b""
    for code, kind, numbers in tags:
        data = struct.pack(f"{order}{len(numbers)}{kind}", *(offsets if code == 273 else numbers))
        entry = struct.pack(f"{order}HHI", code, 3 if kind == "H" else 4, len(numbers))
        if len(data) > 4:
            entry += struct.pack(f"{order}I", end + len(body))
            body += data
        entries += entry + (data.ljust(4, b"\0") if len(data) <= 4 else b"")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + body + b"".join(strips)


def _packed(rows: NDArray[np.generic], bits: int, order: str) -> bytes:
    if bits in (8, 16):
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    digits = np.unpackbits(rows.astype(">u2").view(np.uint8).reshape(*rows.shape, 2), axis=-1)
    return np.packbits(digits[..., -bits:].reshape(len(rows), -1), axis=1).tobytes()


def bmp(bits: int, compression: int, data: bytes, table: bytes, pad: int = 0) -> bytes:
    """A BMP of the photo's size, with its colour table or bit masks and some bytes before data."""
    start = 54 + len(table) + pad
    colours = len(table) // 4 if bits <= 8 else 0
    info = struct.pack(
        "<IiiHHIIiiII", 40, 52, 40, 1, bits, compression, len(data), 0, 0, colours, 0
    )
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    return head + info + table + bytes(pad) + data


def rle(indices: NDArray[np.generic], bits: int, run: int) -> bytes:
    """Run-length codes of BMP: absolute runs, and one repeated pixel where fewer than 3 remain."""
    out = b""
    for row in indices[::-1]:
        for start in range(0, len(row), run):
            part = row[start : start + run].astype(np.uint8)
            if len(part) < 3:
                for value in part:
                    out += bytes([1, int(value) << 4 if bits == 4 else int(value)])
                continue
            if bits == 4:
                even = np.pad(part, (0, len(part) % 2))
                part = even[::2] << 4 | even[1::2]
            out += bytes([0, len(row[start : start + run])]) + part.tobytes()
            out += bytes(len(part) % 2)
        out += b"\0\0"
    return out + b"\0\1"


def expect(path: Path, shown: NDArray[np.generic], atol: float = 1e-6) -> None:
    """That a file reads as (H, W, 3) values in [0, 1]."""
    tensor = read(path)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    np.testing.assert_allclose(tensor.permute(1, 2, 0), np.asarray(shown, float), atol=atol)


def grey(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.repeat(np.asarray(values, float)[..., None], 3, axis=2)
