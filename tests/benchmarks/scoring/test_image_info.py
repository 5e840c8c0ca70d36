"""Digests and sizes, cached by path, length and time."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from benchmarks.scoring import image_info
from benchmarks.scoring.batches import read_resized


def test_answers_are_cached_and_follow_changes(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = mini.parent / "cache.parquet"
    paths = [str(mini.parent / name) for name in ("1.png", "bad.png", "0.png")]
    first = image_info.image_info(paths, cache)
    assert first[["height", "width"]].to_numpy().tolist() == [[32, 40], [0, 0], [24, 40]]
    calls: list[str] = []
    reader = image_info._read
    monkeypatch.setattr(image_info, "_read", lambda path: (calls.append(path), reader(path))[1])
    pd.testing.assert_frame_equal(image_info.image_info(paths, cache), first)
    assert calls == []
    Image.new("RGB", (9, 7)).save(paths[0])
    changed = image_info.image_info(paths, cache)
    assert calls == [paths[0]]
    assert changed["height"].tolist() == [7, 0, 24]
    assert changed["digest"][0] != first["digest"][0]


def test_sizes_are_those_of_turned_photos(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    found = image_info.image_info([str(tmp_path / "turned.jpg")], tmp_path / "c.parquet")
    assert found[["height", "width"]].to_numpy().tolist() == [[20, 10]]
    assert read_resized(str(tmp_path / "turned.jpg"), None).shape == (3, 20, 10)
