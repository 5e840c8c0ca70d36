"""Hashes group copies of one content."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.gmad.near_duplicates import difference_hash, group_hashes


def test_hashes_group_copies_and_separate_contents():
    rng = np.random.default_rng(0)
    scenes = [Image.fromarray(rng.integers(0, 256, (8, 9), dtype=np.uint8)) for _ in range(6)]
    pictures = [
        s.resize(size, Image.Resampling.NEAREST) for s in scenes for size in ((90, 80), (180, 160))
    ]
    hashes = np.array([difference_hash(p) for p in pictures], dtype=np.uint64)
    assert pd.factorize(group_hashes(hashes))[0].tolist() == [i // 2 for i in range(12)]


def test_hash_groups_equal_brute_force():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**63, size=5, dtype=np.uint64)
    hashes = np.concatenate([base ^ (np.uint64(1) << np.uint64(b)) for b in (0, 9, 33, 60)])
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 2
    groups = group_hashes(hashes, bits=2)
    np.testing.assert_array_equal(near, groups[:, None] == groups[None])
    with pytest.raises(ValueError, match=r"0\.\.7"):
        group_hashes(hashes, bits=8)
