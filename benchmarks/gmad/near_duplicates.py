"""Which images show the same content, by a perceptual hash."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks.stats import IntArray

__all__ = ["difference_hash", "group_hashes", "hash_files"]

BITS = 7
"""Bits in which two pictures of one content may differ."""
BANDS = 8
"""Bands a hash is cut into: at least one is equal wherever fewer than ``BANDS`` bits differ."""


def difference_hash(image: Image.Image) -> int:
    """64-bit difference hash: the signs of the horizontal differences of a 9x8 grey thumbnail."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_files(paths: Sequence[Path]) -> NDArray[np.uint64]:
    """Hashes ``(n,)`` of image files.

    Raises:
        ValueError: Naming the first file that is missing or no image.
    """
    hashes = np.empty(len(paths), dtype=np.uint64)
    for i, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                image.draft("L", (64, 64))
                hashes[i] = difference_hash(image)
        except OSError as err:
            raise ValueError(f"{path}: expected an image to hash, got: {err}") from err
    return hashes


def group_hashes(hashes: NDArray[np.uint64], bits: int = BITS) -> IntArray:
    """Content number ``(n,)`` of each hash: chains of hashes within ``bits`` bits are one content.

    Args:
        hashes: ``(n,)`` 64-bit hashes.
        bits: Largest Hamming distance within a content, 0..7.

    Returns:
        ``(n,)`` numbers from 0; equal numbers are one content.

    Raises:
        ValueError: ``bits`` is outside 0..7.
    """
    if not 0 <= bits < BANDS:
        raise ValueError(f"expected bits in 0..{BANDS - 1}, got {bits}")
    values, inverse = np.unique(hashes, return_inverse=True)
    edges = [np.empty((0, 2), dtype=np.int64)]
    for band in range(BANDS):
        keys = (values >> np.uint64(8 * band)) & np.uint64(0xFF)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[:1]] + np.uint64(1)))
        edges += [_near(values, members, bits) for members in np.split(order, starts[1:])]
    pairs = np.concatenate(edges)
    graph = coo_matrix(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(values),) * 2
    )
    groups = connected_components(graph, directed=False)[1][inverse]
    return np.asarray(groups, dtype=np.int64)


def _near(values: NDArray[np.uint64], members: IntArray, bits: int) -> IntArray:
    """Pairs ``(e, 2)`` of members within ``bits`` bits of each other, row by row."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for i, first in enumerate(members[:-1]):
        rest = members[i + 1 :]
        near = rest[np.bitwise_count(values[rest] ^ values[first]) <= bits]
        found.append(np.stack([np.full(len(near), first), near], axis=1))
    return np.concatenate(found)
