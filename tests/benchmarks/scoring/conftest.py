"""A small data set with a twin and a file that is no image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """Fourteen images in three sizes, one file twice, one file that is no image."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "mini"
    folder.mkdir()
    lines = ["image,mos,reference,split"]
    for i in range(12):
        size = (24 + 8 * (i % 3), 40, 3)
        pixels = rng.integers(0, 256, size, dtype=np.uint8) // (i + 1)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{12 - i + i % 2},r{i // 2},{['training', 'test'][i % 2]}")
    (folder / "twin.png").write_bytes((folder / "3.png").read_bytes())
    (folder / "bad.png").write_bytes(b"no image")
    lines += ["twin.png,9,r9,test", "bad.png,1,r8,test"]
    (folder / "mini.csv").write_text("\n".join(lines) + "\n")
    return folder / "mini.csv"
