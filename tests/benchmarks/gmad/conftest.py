"""A table of scores, and `python -m benchmarks gmad`."""

from functools import partial

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def wide(tmp_path):
    """Write columns as wide.csv."""

    def write(**columns):
        path = tmp_path / "wide.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def table(wide):
    """60 images, a good, a fair and a useless metric, references and MOS."""
    rng = np.random.default_rng(3)
    mos = rng.uniform(1, 5, 60)
    return wide(
        image=[f"{i:02d}.png" for i in range(60)],
        good=mos + rng.normal(0, 0.3, 60),
        fair=mos + rng.normal(0, 1.0, 60),
        useless=rng.normal(size=60),
        mos=mos,
        reference=[f"ref{i % 7}" for i in range(60)],
    )


@pytest.fixture
def run(command):
    """`python -m benchmarks gmad`."""
    return partial(command, "gmad")
