"""Full and read-only disks: noticed before anything is scored, one line, nothing left over."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faults.commands import SECONDS, start, tmpfs


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_full_disk_is_noticed_before_anything_is_scored(
    photo: Path, random_lite: Path, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "disk", "size=64k") as disk:
        (disk / "filler").write_bytes(b"\0" * 2**15)
        process = start("score", photo, "--out", disk / "s.csv", "-m", random_lite)
        _, err = process.communicate(timeout=SECONDS)
        assert [path.name for path in disk.iterdir()] == ["filler"]
    assert process.returncode == 2
    assert "No space left on device" in err
    assert "Traceback" not in err


def test_a_read_only_disk_is_noticed_before_anything_is_scored(
    photo: Path, random_lite: Path, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "disk", "ro") as disk:
        process = start("score", photo, "--out", disk / "s.csv", "-m", random_lite)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "Read-only file system" in err
    assert "Traceback" not in err


def test_an_export_to_a_full_disk_leaves_nothing(random_lite: Path, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as disk:
        out = disk / "model.safetensors"
        process = start("export", out, "--model", random_lite, "--format", "safetensors")
        _, err = process.communicate(timeout=SECONDS)
        assert list(disk.iterdir()) == []
    assert process.returncode == 1
    assert "No space left on device" in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
