"""`qualiclip demo`: local photos, a table, a picture."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from qualiclip_metric import QualiCLIP, distortions, sample_photos
from qualiclip_metric.cli import _metric, app
from qualiclip_metric.cli import demo as demo_module
from qualiclip_metric.cli.demo import DISTORTIONS, PHOTOS, TILE, crop
from qualiclip_metric.images import from_array
from qualiclip_metric.sample_photos import sample_photo

pytest.importorskip("skimage")


def test_demo(tmp_path: Path, tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 260, 3), np.uint8)
    small = from_array(noise)
    monkeypatch.setattr(sample_photos, "sample_photo", lambda name: noise)
    monkeypatch.setattr(_metric, "load_metric", lambda model, device: tiny)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["photo", "distortion", "clean", "1", "2", "3", "4", "5"]
    assert len(lines) == 1 + len(PHOTOS) * len(DISTORTIONS)
    with (tmp_path / "new" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * (len(lines) - 1)
    clean = tiny(small[None]).item()
    assert float(rows[0]["score"]) == pytest.approx(clean, abs=2e-6)
    darkened = distortions.distort(small[None], "darken", 5, torch.Generator().manual_seed(0))
    last = next(r for r in rows if (r["distortion"], r["level"]) == ("darken", "5"))
    assert float(last["score"]) == pytest.approx(tiny(darkened).item(), abs=2e-6)
    with Image.open(tmp_path / "new" / "demo.png") as sheet:
        assert sheet.width > 6 * TILE[0]
        assert sheet.height > len(PHOTOS) * TILE[1]


@pytest.mark.parametrize("center", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_tile_is_inside_the_photo_and_unscaled(center: tuple[float, float]) -> None:
    image = torch.zeros(3, 300, 400)
    image[0], image[1] = torch.arange(400) / 400, torch.arange(300)[:, None] / 300
    tile = crop(image, center)
    assert tile.size == TILE
    corner = np.asarray(tile)[0, 0] / 255
    left, top = round(corner[0] * 400), round(corner[1] * 300)
    assert abs(left - center[0] * (400 - tile.width)) <= 2
    assert abs(top - center[1] * (300 - tile.height)) <= 2


def test_a_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    noise = np.zeros((240, 260, 3), np.uint8)
    monkeypatch.setattr(sample_photos, "sample_photo", lambda name: noise)
    monkeypatch.setattr(demo_module, "PHOTOS", {"chelsea": (0.5, 0.5)})
    monkeypatch.setattr(demo_module, "DISTORTIONS", {"darken": "Darkening"})
    monkeypatch.setattr(_metric, "load_metric", lambda model, device: tiny)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_missing_photos_name_their_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(ImportError, match="scikit-image"):
        sample_photo("coffee")
