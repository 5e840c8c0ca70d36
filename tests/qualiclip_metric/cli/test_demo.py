"""`qualiclip demo`: local photos, a table, a picture."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from qualiclip_metric import QualiCLIP, distortions, sample_photos
from qualiclip_metric.cli import _metric, app, demo, demo_picture
from qualiclip_metric.cli.demo_strips import DISTORTIONS, PHOTOS, Strip, diagonal, make_strip
from qualiclip_metric.images import from_uint8
from qualiclip_metric.sample_photos import sample_photo

pytest.importorskip("skimage")


def test_photos_are_in_the_wheel() -> None:
    """They load with the network blocked, as conftest does."""
    for photo in PHOTOS:
        image = from_uint8(sample_photo(photo.name))
        assert image.shape[0] == 3
        assert min(image.shape[1:]) >= max(demo_picture.TILE[1], 240)


def test_distortions_exist() -> None:
    assert set(DISTORTIONS) <= set(distortions.DISTORTIONS)
    assert len(DISTORTIONS) == len(PHOTOS)


def test_demo(tmp_path: Path, tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 260, 3), np.uint8)
    small = from_uint8(noise)
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
        assert sheet.width > 6 * demo_picture.TILE[0]


def test_the_picture_shows_each_photo_and_distortion_once() -> None:
    image = torch.rand(6, 3, 240, 260)
    strips = [Strip(photo, name, image, [0.0] * 6) for photo in PHOTOS for name in DISTORTIONS]
    rows = diagonal(strips)
    assert [row.photo for row in rows] == list(PHOTOS)
    assert [row.distortion for row in rows] == list(DISTORTIONS)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_tile_is_inside_the_photo_and_unscaled(centre: tuple[float, float]) -> None:
    image = torch.zeros(3, 300, 400)
    image[0], image[1] = torch.arange(400) / 400, torch.arange(300)[:, None] / 300
    tile = demo_picture.crop(image, centre)
    assert tile.size == demo_picture.TILE
    corner = np.asarray(tile)[0, 0] / 255
    left, top = round(corner[0] * 400), round(corner[1] * 300)
    assert abs(left - centre[0] * (400 - tile.width)) <= 2
    assert abs(top - centre[1] * (300 - tile.height)) <= 2


def test_a_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    noise = np.zeros((240, 260, 3), np.uint8)
    monkeypatch.setattr(sample_photos, "sample_photo", lambda name: noise)
    monkeypatch.setattr(demo, "DISTORTIONS", {"darken": "Darkening"})
    monkeypatch.setattr(_metric, "load_metric", lambda model, device: tiny)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_missing_photos_name_their_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(ImportError, match="pip install scikit-image"):
        sample_photo("coffee")


def test_the_embedded_model_falls_with_blur() -> None:
    metric = _metric.load_metric("lite", "cpu")
    photo = PHOTOS[0]
    image = from_uint8(sample_photo(photo.name))[:, :256, 100:356]
    scores = make_strip(metric, photo, image, "gaublur").scores
    assert scores[0] > scores[3] > scores[5]
