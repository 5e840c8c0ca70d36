"""Which images have a row already: a digest of each key, so that millions fit in memory."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


class DoneKeys:
    """Keys that have rows. A key with two rows stands for two images of that name.

    Args:
        keys: Of the rows, in any order. 16 bytes are kept of each.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        digests = np.fromiter(map(_digest, keys), dtype="S16")
        self._digests, self._left = np.unique(digests, return_counts=True)
        self.total = int(self._left.sum())
        """How many rows there are."""

    def __contains__(self, key: str) -> bool:
        """Whether a key has a row, however many."""
        return self._place(key) is not None

    def take(self, key: str) -> bool:
        """Whether an image has a row; a row serves for one image of its key."""
        place = self._place(key)
        if place is None or not self._left[place]:
            return False
        self._left[place] -= 1
        return True

    def _place(self, key: str) -> int | None:
        digest = np.array([_digest(key)], "S16")
        place = int(np.searchsorted(self._digests, digest)[0])
        there = place < len(self._digests) and self._digests[place] == digest[0]
        return place if there else None


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()
