"""Photos of a few sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.qualiclip_metric.scoring.mean_metric import SIZES


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(len(SIZES))]
    for path, (height, width) in zip(paths, SIZES, strict=True):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return paths
