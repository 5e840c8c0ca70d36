"""Pictures as data URIs within a budget."""

import numpy as np
from PIL import Image

from benchmarks.html import album, original


def noise_files(folder, count, size=(96, 96)):
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return paths


def test_an_album_keeps_its_budget(tmp_path):
    paths = noise_files(tmp_path, 40)
    free = album(paths, side=96, budget=10**7)
    full = sum(map(len, free))
    for budget in (full // 2, full // 8, 2000):
        pictures = album(paths, side=96, budget=budget)
        assert len(pictures) == 40
        assert 0 < sum(map(len, pictures)) <= budget
    assert all(album(paths, side=96, budget=full // 8))  # smaller, not fewer


def test_originals_are_inlined_as_they_are_or_shrunk_without_loss(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 20)).save(path)
    assert original(path, 40).startswith("data:image/png;base64,")
    assert original(path, 39).startswith("data:image/webp;base64,")
    Image.new("RGB", (40, 20)).save(tmp_path / "a.bmp")
    assert original(tmp_path / "a.bmp", 40).startswith("data:image/webp;base64,")
