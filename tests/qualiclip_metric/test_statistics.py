"""Pixel statistics: known values, the fault that each is named after, and their columns."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import qualiclip_metric
from qualiclip_metric import statistics as module
from qualiclip_metric.cli import app
from qualiclip_metric.distortions import distort
from qualiclip_metric.images import from_array
from qualiclip_metric.sample_photos import sample_photo
from qualiclip_metric.statistic_names import STATISTICS
from qualiclip_metric.statistics import statistics, statistics_of_pixels


def scene(height=128, width=160):
    """Smooth hills in colour."""
    y, x = torch.meshgrid(torch.linspace(0, 9, height), torch.linspace(0, 9, width), indexing="ij")
    return torch.stack([(x + 0.3 * c).sin() * (y - c).cos() for c in range(3)])[None] * 0.3 + 0.5


def by_name(img):
    return dict(zip(STATISTICS, statistics(img)[0].tolist(), strict=True))


def test_grey_is_neither_contrasty_nor_colourful_nor_sharp():
    found = by_name(torch.full((1, 3, 40, 48), 0.5))
    assert found["brightness"] == pytest.approx(0.5)
    assert found.pop("blockiness") == pytest.approx(1)
    for name in ("contrast", "clipped_dark", "clipped_bright", "colourfulness", "noise"):
        assert found[name] == pytest.approx(0, abs=0.05), name
    halves = torch.zeros(1, 3, 40, 40)
    halves[..., 20:] = 1
    found = by_name(halves)
    assert [found[name] for name in STATISTICS[:4]] == pytest.approx([0.5] * 4)


def test_noise_is_the_standard_deviation_that_was_added():
    img = scene(256, 256)
    field = torch.randn(img.shape[2:], generator=torch.Generator().manual_seed(0))
    for sigma in (2.0, 8.0):
        noisy = (img + sigma / 255 * field).clamp(0, 1)
        assert by_name(noisy)["noise"] == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize(
    ("distortion", "name", "rises"),
    [
        ("gaublur", "sharpness", False),
        ("whitenoise", "noise", True),
        ("jpeg", "blockiness", True),
        ("brighten", "brightness", True),
        ("darken", "brightness", False),
        ("colorsat1", "colourfulness", False),
        ("colorsat2", "colourfulness", True),
        ("nonlincontrchange", "contrast", False),
    ],
)
def test_each_statistic_follows_its_fault(distortion, name, rises):
    photo = from_array(sample_photo("coffee"))[None]
    worse = distort(photo, distortion, 4, torch.Generator().manual_seed(0))
    before, after = by_name(photo)[name], by_name(worse)[name]
    assert (after > 1.1 * before) if rises else (after < 0.95 * before)


def test_blocks_are_found_wherever_a_crop_begins():
    photo = from_array(sample_photo("coffee"))[None]
    blocks = distort(photo, "jpeg", 4, torch.Generator())
    assert by_name(blocks[..., 3:, 5:])["blockiness"] == pytest.approx(
        by_name(blocks)["blockiness"], rel=0.05
    )


@pytest.mark.parametrize("height", [64, 65, 67, 79])
def test_strips_give_what_the_whole_gives(monkeypatch, height):
    pixels = (scene(height, 60)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    whole = statistics_of_pixels(pixels)
    monkeypatch.setattr(module, "STRIP_PIXELS", 60 * 16)
    assert statistics_of_pixels(pixels) == pytest.approx(whole, rel=1e-4)
    assert list(whole) == list(STATISTICS)


def test_a_jpeg_that_is_scored_reduced_is_checked_whole(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.normal(128, 20, (2200, 2208)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "large.jpg", quality=98)
    Image.open(tmp_path / "large.jpg").save(tmp_path / "large.png")
    plain = qualiclip_metric.score(tmp_path)
    found = qualiclip_metric.score(tmp_path, checks=True)
    assert found["score"].tolist() == plain["score"].tolist()
    assert found["noise"][0] == pytest.approx(found["noise"][1], rel=0.01)
    assert found["noise"][0] > 15


def test_columns_of_the_command_and_of_python_agree(tmp_path):
    Image.fromarray((scene()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    (tmp_path / "b.png").write_bytes(b"no image")
    words = ["score", "--checks", "--format", "csv", "--engine", "torch", "--precision", "fp32"]
    result = CliRunner().invoke(app, [*words, str(tmp_path)])
    good, bad = csv.DictReader(io.StringIO(result.stdout))
    assert bad["noise"] == "" and bad["error"]
    with Image.open(tmp_path / "a.png") as image:
        table = qualiclip_metric.score(image, checks=True)
    for name in STATISTICS:
        assert float(good[name]) == pytest.approx(table[name][0], abs=1e-5), name
