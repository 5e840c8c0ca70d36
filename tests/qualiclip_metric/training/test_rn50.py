"""The paper's recipe on a seeded RN50: a few real steps through the whole loop."""

import dataclasses
from pathlib import Path

import pytest
import torch

from qualiclip_metric import checkpoints
from qualiclip_metric.distortions import DISTORTIONS
from qualiclip_metric.training import TrainConfig, train
from qualiclip_metric.training.config import read_settings
from tests.photos import write_photos

pytestmark = pytest.mark.slow

RECIPE = dataclasses.replace(
    TrainConfig.from_dict(
        read_settings(Path(__file__).parents[3] / "configs" / "qualiclip-rn50.toml")
    ),
    steps=4,
    batch_size=2,
    crop_size=64,
    learning_rate=1e-5,
    workers=0,
    validate_share=0.3,
    validate_every=4,
    checkpoint_every=4,
    exclude=tuple(name for name in DISTORTIONS if name != "gaublur"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 3, (90, 90), grid=30)


@pytest.fixture(scope="module")
def run(photos, seeded_official, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    reports = []
    path = train(RECIPE, photos, folder, pretrained=seeded_official, report=reports.append)
    return checkpoints.read(path), reports


def test_the_losses_fall(run):
    totals = [r.losses["total"] for r in run[1] if r.phase == "training"]
    assert len(totals) == 4 and totals[-1] < totals[0]


def test_only_the_image_encoder_moves_and_its_statistics_stay(run, seeded_official):
    before, after = checkpoints.read(seeded_official), run[0]
    assert torch.equal(before.prompts, after.prompts)
    moved = {k for k, v in after.encoder.items() if not torch.equal(v, before.encoder[k])}
    statistics = {k for k in before.encoder if "running" in k or k.endswith("tracked")}
    assert statistics and not moved & statistics
    assert len(moved) > 0.9 * len(before.encoder.keys() - statistics)
    assert "trunk.bn1.weight" in moved
