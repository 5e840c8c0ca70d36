"""`qualiclip distort` and the contact sheet."""

import re

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from qualiclip_metric import tiles
from qualiclip_metric.cli.distort import distort as command
from qualiclip_metric.distortions import (
    DISTORTIONS,
    LINKS,
    chain_ladder,
    distort,
    parse_chain,
    sheet,
)
from qualiclip_metric.images import to_picture
from qualiclip_metric.resize import reduced


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()[:64, 200:280]).save(path)
    return path


def run(*args):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def text(result):
    """Stderr without the frame around it."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())


def tensor(pixels):
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def test_it_writes_what_the_library_computes(photo, tmp_path):
    out = tmp_path / "worse.png"
    names = ("motionblur", "whitenoise")
    types = [part for name in names for part in ("--type", name)]
    result = run(photo, *types, "--level", 3, "--seed", 7, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    img, rng = tensor(Image.open(photo)), torch.Generator().manual_seed(7)
    for name in names:
        img = distort(img, name, 3, rng)
    assert np.array_equal(np.array(Image.open(out)), np.array(to_picture(img[0])))


def test_the_tiles_of_a_sheet_are_the_ladder():
    img = tensor(data.coffee())[0]
    done = []
    page = np.array(sheet.contact_sheet(img, seed=3, tile=48, progress=done.append))
    photo = reduced(img[None], 32)[0].clamp(0, 1)
    assert tuple(photo.shape) == (3, 32, 48)  # all of it
    assert done == list(range(1, len(DISTORTIONS) + 1))
    for name in ("gaublur", "colorblock", "nonlincontrchange"):
        worst = distort(photo[None], name, 5, torch.Generator().manual_seed(3))[0]
        tile = np.array(to_picture(worst))
        row, column = 32 + tiles.CAPTION + tiles.GAP, 48 + tiles.GAP
        top = tiles.HEADER + list(DISTORTIONS).index(name) * row
        left = tiles.LABEL + 5 * column
        assert np.array_equal(page[top : top + 32, left : left + 48], tile)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ((), "--sheet"),
        (("--type", "jpeg"), "--level"),
        (("--level", 2), "--type"),
        (("--type", "jpg", "--level", 2), "did you mean jpeg"),
        (("--type", "jpeg", "--level", 6), "Invalid value for"),
        (("--type", "jpeg", "--type", "jpeg", "--level", 2), "distinct"),
        (("--sheet", "--level", 2), "drop"),
        (("--chain", "defocus"), "--level"),
        (("--chain", "defocus", "--type", "jpeg", "--level", 1), "not both"),
        (("--chain", "defocus", "--chain", "haze", "--level", 1), "several"),
        (("--chain", "links", "--level", 1), "--sheet"),
        (("--chain", "fog", "--level", 1), "unknown link"),
        (("--sheet", "--out", "worse.foo"), "cannot write .foo"),
    ],
)
def test_usage_errors_exit_2(photo, tmp_path, args, word):
    result = run(photo, "--out", tmp_path / "worse.png", *args)
    assert result.exit_code == 2
    assert word in text(result)


def test_bad_data_exits_1(tmp_path):
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (20, 20)).save(tiny)
    for path, message in ((tmp_path / "none.png", "no such file"), (tiny, "32x32")):
        result = run(path, "--type", "jpeg", "--level", 1, "--out", tmp_path / "worse.png")
        assert result.exit_code == 1
        assert message in text(result)


def test_limits_are_those_of_score(photo, tmp_path):
    words = ("--type", "jpeg", "--level", 1, "--out", tmp_path / "worse.png")
    result = run(photo, "--max-pixels", 64 * 80 - 1, *words)
    assert result.exit_code == 1
    assert "5119" in text(result)
    photo.write_bytes(photo.read_bytes()[:6000])
    assert run(photo, *words).exit_code == 1
    assert run(photo, "--allow-truncated", *words).exit_code == 0


def test_a_chain_is_what_the_library_computes(photo, tmp_path):
    out = tmp_path / "worse.png"
    result = run(photo, "--chain", "defocus:0.5,sensor_noise", "--level", 4, "--out", out)
    assert result.exit_code == 0, result.output
    chain = parse_chain("defocus:0.5,sensor_noise")
    steps = chain_ladder(tensor(Image.open(photo)), chain, torch.Generator().manual_seed(0))
    assert np.array_equal(np.array(Image.open(out)), np.array(to_picture(steps[3, 0])))


@pytest.mark.parametrize(
    ("chains", "rows"), [(["links"], len(LINKS)), (["haze,defocus,resample:0.5", "low_light"], 2)]
)
def test_the_sheet_of_chains(photo, tmp_path, chains, rows):
    out = tmp_path / "sheet.png"
    result = run(photo, "--sheet", *(p for c in chains for p in ("--chain", c)), "--out", out)
    assert result.exit_code == 0, result.output
    with Image.open(out) as page:
        assert page.height == tiles.HEADER + rows * (64 + tiles.CAPTION + tiles.GAP) + tiles.GAP
