"""Which photos show the same content: perceptual hashes, and the times of capture.

Photos of one burst have hashes that differ in few bits. How many may differ depends on what else is
known (docs/lab/bursts.md has the distances): photos that were taken within seconds of each other
are of one burst unless their hashes differ much; without times, only hashes that are nearly equal
say so, because a set of 100,000 photos has 5,000,000,000 pairs that may be alike by chance.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import pairwise

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_BITS = 64
ALIKE_BITS = 7
"""Bits in which the hashes of two photos of one content may differ, where no time is known."""
BURST_BITS = 16
"""The same for photos that were taken within seconds. Scenes differ in 24 or more."""
SECONDS = 10.0
"""Longest time between two photos of one burst."""
OPEN_BURSTS = 64
"""Bursts that a photo is compared with, the latest ones: cameras that shoot at the same time, or
photos whose clock stands still."""
_BLOCK = 1024  # hashes that are compared with others at once
_THUMBNAIL = 128  # px; the hash itself sees 32x32


def perceptual_hash(pixels: NDArray[np.generic]) -> int:
    """Hash an image's content: the signs of its 64 lowest frequencies (pHash).

    Args:
        pixels: (H, W, 3) RGB, uint8 in 0..255 or float32 in [0, 1].

    Returns:
        64 bits; images that look alike differ in few of them.

    Reference: Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.
    """
    # a coarse reduction first, of a large image: the filter of the hash's own is slow
    step = max(1, min(pixels.shape[:2]) // _THUMBNAIL)
    if pixels.dtype != np.uint8:
        pixels = np.asarray((pixels[::step, ::step] * 255).round().clip(0, 255), np.uint8)
        step = 1
    return int(str(imagehash.phash(Image.fromarray(pixels).reduce(step))), 16)


def group_photos(
    hashes: Sequence[int], times: Sequence[float | None] | None = None, seconds: float = SECONDS
) -> NDArray[np.int64]:
    """Number the contents of photos.

    A photo with a time of capture joins the burst whose first photo differs from it in at most
    `BURST_BITS` and whose last one was taken at most `seconds` before it. Photos without a time are
    grouped by chains of hashes that differ in at most `ALIKE_BITS`; where a chain reaches photos
    with a time, as an edited copy does, each joins the burst of the one that differs least.

    Args:
        hashes: n hashes, as `perceptual_hash` makes them.
        times: n times of capture, seconds, None where unknown; by default all are unknown.
        seconds: Longest time between two photos of a burst.

    Returns:
        (n,) numbers from 0 in the order of first photos; equal numbers are one content.
    """
    values = np.array(hashes, dtype=np.uint64)
    taken = np.array(times if times is not None else [None] * len(values), dtype=np.float64)
    timed = ~np.isnan(taken)
    chains = group_hashes(values)
    groups = -1 - chains  # below the numbers of the bursts
    groups[timed] = _bursts(values[timed], taken[timed], seconds)
    in_chain: dict[int, list[int]] = defaultdict(list)  # the photos with a time
    for place in np.flatnonzero(timed).tolist():
        in_chain[int(chains[place])].append(place)
    for place in np.flatnonzero(~timed).tolist():
        if others := in_chain.get(int(chains[place])):
            nearest = int(np.bitwise_count(values[others] ^ values[place]).argmin())
            groups[place] = groups[others[nearest]]
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _bursts(
    hashes: NDArray[np.uint64], times: NDArray[np.float64], seconds: float
) -> NDArray[np.int64]:
    """Burst number (n,) of each photo; photos are taken in the order of their times."""
    groups = np.empty(len(hashes), dtype=np.int64)
    open_bursts: deque[tuple[int, int]] = deque(maxlen=OPEN_BURSTS)  # first hash, number
    last: list[float] = []  # time of each burst's last photo
    for place in np.argsort(times, kind="stable").tolist():
        value, time = int(hashes[place]), float(times[place])
        near = [
            ((value ^ first).bit_count(), number)
            for first, number in open_bursts
            if time - last[number] <= seconds
        ]
        distance, number = min(near, default=(HASH_BITS, 0))
        if distance > BURST_BITS:
            number = len(last)
            last.append(time)
            open_bursts.append((value, number))
        groups[place], last[number] = number, time
    return groups


def group_hashes(hashes: NDArray[np.uint64], bits: int = ALIKE_BITS) -> NDArray[np.int64]:
    """Number the contents by hashes alone: chains of hashes within `bits` bits are one content.

    Only hashes that are equal in one of `bits + 1` bands are compared: those within `bits` bits
    are always equal in one.

    Args:
        hashes: (n,) 64-bit hashes.
        bits: Largest Hamming distance of neighbours in a chain, 0..7.

    Returns:
        (n,) numbers from 0; equal numbers are one content.

    Raises:
        ValueError: If `bits` is outside 0..7: bands would be so narrow that most hashes share one.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not 0 <= bits <= ALIKE_BITS:
        raise ValueError(f"expected bits in 0..{ALIKE_BITS}, got {bits}")
    values, inverse = np.unique(hashes, return_inverse=True)
    found = [np.empty((0, 2), dtype=np.int64)]
    cuts = np.linspace(0, HASH_BITS, bits + 2).astype(int)
    for low, high in pairwise(cuts.tolist()):
        mask = np.uint64((1 << (high - low)) - 1)
        keys = (values >> np.uint64(low)) & mask
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order])) + 1
        for members in np.split(order, starts):
            found += [
                _near(values, members[at : at + _BLOCK], members[at:], bits)
                for at in range(0, len(members) - 1, _BLOCK)
            ]
    edges = np.concatenate(found)
    graph = coo_matrix(
        (np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(len(values),) * 2
    )
    groups = connected_components(graph, directed=False)[1][inverse]
    return np.asarray(groups, dtype=np.int64)


def _near(
    values: NDArray[np.uint64], some: NDArray[np.int64], others: NDArray[np.int64], bits: int
) -> NDArray[np.int64]:
    """Pairs (e, 2) of some hashes with others that differ in at most `bits` bits."""
    distances = np.bitwise_count(values[some][:, None] ^ values[others][None])
    row, column = np.nonzero(distances <= bits)
    return np.stack([some[row], others[column]], axis=1)
