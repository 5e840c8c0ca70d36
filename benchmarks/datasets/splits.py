"""Random splits that keep a reference's images together: ARNIQA's ten, 70/10/20."""

import numpy as np
from numpy.typing import NDArray

FRACTIONS = (0.7, 0.1, 0.2)


def groups(reference: list[str]) -> list[str]:
    """The group of each image: its reference, or the image alone where there is none."""
    return [name or f"#{row}" for row, name in enumerate(reference)]


def random_tests(
    reference: list[str], *, splits: int = 10, seed: int = 27
) -> list[NDArray[np.int64]]:
    """Draw the row numbers of the test part (a fifth of the groups) of each random split.

    The groups are sorted first, so the split depends on names, not on the order of rows. Split
    ``i`` uses the seed ``(seed, i)``. Needs at least five groups.
    """
    keys = np.array(groups(reference))
    names = np.unique(keys)
    if len(names) < 5:
        raise ValueError(f"random splits need at least 5 references, got {len(names)}")
    size = max(1, round(FRACTIONS[2] * len(names)))
    tests = []
    for index in range(splits):
        chosen = np.random.default_rng((seed, index)).permutation(names)[:size]
        tests.append(np.flatnonzero(np.isin(keys, chosen)))
    return tests
