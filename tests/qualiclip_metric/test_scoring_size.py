"""The scoring size and the diagnosis, from `create` to the command line."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from qualiclip_metric import create
from qualiclip_metric.cli import app
from qualiclip_metric.decoding import pixels
from qualiclip_metric.distortions import chain_ladder, parse_chain
from qualiclip_metric.images import to_picture
from qualiclip_metric.resize import reduced
from qualiclip_metric.scoring import score_files


@pytest.fixture(scope="module")
def lite():
    return create("lite")


@pytest.fixture(scope="module")
def coffee():
    pixel = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.interpolate(pixel, size=(1400, 2100), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def large(coffee, tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "coffee.jpg"
    to_picture(coffee[0]).save(path, quality=95)
    return path


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_lite_reduces_large_images_and_says_so(lite, coffee):
    assert lite.scoring_size == 512
    assert "|size:512|" in str(lite.signature)
    assert torch.allclose(lite(coffee), lite(reduced(coffee, 512)), atol=1e-6)
    native = create("lite", size="native")
    assert "|size:native|" in str(native.signature)
    assert abs(float(native(coffee)) - float(lite(coffee))) > 0.02


@pytest.mark.parametrize("size", [256, "256"])
def test_another_size(size, coffee):
    metric = create("lite", size=size)
    assert metric.scoring_size == 256
    assert torch.allclose(metric(coffee), create("lite")(reduced(coffee, 256)), atol=1e-6)


@pytest.mark.parametrize("size", ["big", 31, "0", -5, True, 1.5])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        create("lite", size=size)


def test_large_files_are_decoded_small(large, coffee, lite):
    whole, small = pixels(large), pixels(large, side=256)
    assert whole.shape == (1400, 2100, 3)
    assert small.shape == (700, 1050, 3)
    assert pixels(large, side=1000).shape == whole.shape
    (result,) = score_files(lite, [large])
    full = torch.from_numpy(whole.copy()).permute(2, 0, 1)[None] / 255
    assert result.score == pytest.approx(float(lite(full)), abs=0.01)


def test_a_turned_photo_is_decoded_small_and_upright(large, tmp_path):
    turned = tmp_path / "turned.jpg"
    with Image.open(large) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(turned, exif=exif)
    assert pixels(turned, side=256).shape == (1050, 700, 3)


@pytest.mark.parametrize(
    ("chain", "fault"), [("defocus", "blur"), ("recompression", "compression")]
)
def test_a_strong_fault_is_named(lite, chain, fault):
    img = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    worse = chain_ladder(img, parse_chain(chain), torch.Generator().manual_seed(0))[-1]
    found = lite.diagnose(worse)[0]
    assert ("none", *lite.faults)[int(found.argmax())] == fault
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_scores_pairs_and_faults_come_from_one_pass_of_the_encoder(lite, large, monkeypatch):
    passes = []
    from_maps = lite.encoder.from_maps
    monkeypatch.setattr(
        lite.encoder, "from_maps", lambda *args: passes.append(1) or from_maps(*args)
    )
    rows = [
        next(score_files(lite, [large], **options))
        for options in ({}, {"pairs": True}, {"diagnose": True}, {"pairs": True, "diagnose": True})
    ]
    assert len(passes) == 4
    plain, pairs, faults, both = rows
    assert {row.score for row in rows} == {plain.score}
    assert both.pairs == pairs.pairs and both.faults == faults.faults


def test_a_model_without_diagnosis_says_so(random_lite):
    metric = create(random_lite)
    with pytest.raises(ValueError, match="no diagnosis"):
        metric.diagnose(torch.rand(1, 3, 64, 64))
    result = run("score", "--diagnose", "--model", random_lite, __file__)
    assert result.exit_code == 2
    assert "no diagnosis" in result.stderr


def test_the_command_names_faults(large, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    result = run("score", "--diagnose", "--format", "json", large, broken)
    first, second = json.loads(result.stdout)["images"]
    assert first["fault"] in first["faults"]
    assert first["faults"][first["fault"]] == max(first["faults"].values())
    assert sum(first["faults"].values()) == pytest.approx(1, abs=1e-4)
    assert "fault" not in second
    table = run("score", "--diagnose", "--format", "csv", broken, large).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["fault"] for row in rows] == ["", first["fault"]]
    assert np.isclose(float(rows[1]["probability"]), first["faults"][first["fault"]], atol=1e-4)
    table = run("score", "--diagnose", large).stdout
    assert "%)" in table


def test_the_command_takes_a_size(large):
    native = json.loads(run("score", "--size", "native", "--format", "json", large).stdout)
    assert native["signature"]["size"] == "native"
    assert run("score", "--size", "tiny", large).exit_code == 2
