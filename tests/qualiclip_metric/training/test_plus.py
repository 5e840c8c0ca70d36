"""QualiCLIP+: the loss by hand, and a short real run on a seeded checkpoint."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import pearsonr
from typer.testing import CliRunner

from qualiclip_metric import checkpoints, create
from qualiclip_metric.cli import app
from qualiclip_metric.training import PlusConfig, train_plus
from qualiclip_metric.training.config import read_settings
from qualiclip_metric.training.plus import plus_loss, read_labels

pytestmark = pytest.mark.slow
TINY = dataclasses.replace(
    PlusConfig.from_dict(
        read_settings(Path(__file__).parents[3] / "configs" / "qualiclip-plus.toml")
    ),
    epochs=2,
    batch_size=4,
    crop_size=32,
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Noise of growing contrast, with the contrast as the opinion; one batch."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    lines = ["image,mos"]
    for number in range(4):
        pixels = 128 + (10 + 25 * number) * rng.uniform(-1, 1, (80, 80, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{10 + number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


def test_the_loss_is_mse_plus_half_of_one_minus_plcc():
    rng = torch.Generator().manual_seed(0)
    score, mos = torch.rand(9, generator=rng), torch.rand(9, generator=rng)
    plcc = pearsonr(score.numpy(), mos.numpy()).statistic
    expected = ((score - mos) ** 2).mean().item() + (1 - plcc) / 2
    assert plus_loss(score, mos, PlusConfig()).item() == pytest.approx(expected, rel=1e-5)
    only = PlusConfig(weight_plcc=0.0)
    assert plus_loss(mos, mos, only).item() == 0
    assert plus_loss(mos * 3 + 1, mos, PlusConfig(weight_mse=0.0)).item() < 1e-6


def test_a_run_fits_moves_only_the_context_and_resumes(labels, seeded_official, tmp_path):
    class Killed(Exception):
        pass

    def kill(report):
        if report.step == 1:
            raise Killed

    rows, reports = read_labels(labels), []
    path = train_plus(TINY, rows, tmp_path / "a", pretrained=seeded_official, report=reports.append)
    assert [r.step for r in reports] == [1, 2]
    assert reports[-1].losses["total"] < reports[0].losses["total"]
    made, base = checkpoints.read(path), checkpoints.read(seeded_official)
    assert all(torch.equal(made.encoder[k], base.encoder[k]) for k in base.encoder)
    assert made.training["opinion_aware"] is True
    assert 0 < create(path)(torch.rand(1, 3, 64, 64)).item() < 1

    with pytest.raises(Killed):
        train_plus(TINY, rows, tmp_path / "b", pretrained=seeded_official, report=kill)
    again = train_plus(TINY, rows, tmp_path / "b", pretrained=seeded_official, resume=True)
    assert torch.equal(checkpoints.read(again).learner["ctx"], made.learner["ctx"])
    other = dataclasses.replace(TINY, seed=5)
    with pytest.raises(ValueError, match="other settings"):
        train_plus(other, rows, tmp_path / "b", pretrained=seeded_official, resume=True)


def test_wrong_settings_are_refused(labels, tmp_path):
    with pytest.raises(ValueError, match="image, mos"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("image,mos\nmissing.png,3\n")
    with pytest.raises(ValueError, match="1 rows"):
        read_labels(tmp_path / "bad.csv")
    with pytest.raises(ValueError, match="batch_size"):
        PlusConfig(batch_size=2)
    with pytest.raises(ValueError, match="labelled"):
        train_plus(PlusConfig(), read_labels(labels)[:5], tmp_path, pretrained="lite")


def test_the_command_wants_photos_or_labels(labels, tmp_path):
    run = CliRunner()
    assert run.invoke(app, ["train", "--out", str(tmp_path)]).exit_code == 2
    words = ["train", "--out", str(tmp_path), "--labels", str(labels)]
    assert run.invoke(app, [*words, "--images", str(labels.parent)]).exit_code == 2
    assert run.invoke(app, [*words, "--pretrained", "lite"]).exit_code == 1
