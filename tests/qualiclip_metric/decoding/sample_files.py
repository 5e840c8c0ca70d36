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


def expect(path: Path, shown: NDArray[np.generic], atol: float = 1e-6) -> None:
    """That a file reads as (H, W, 3) values in [0, 1]."""
    tensor = read(path)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    np.testing.assert_allclose(tensor.permute(1, 2, 0), np.asarray(shown, float), atol=atol)


def grey(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.repeat(np.asarray(values, float)[..., None], 3, axis=2)
