"""The ranking loop on a tiny run: it stops on NaN, resumes to the bit, and its model scores."""

import dataclasses
import itertools
import json
import logging
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import qualiclip_metric
from qualiclip_metric import checkpoints
from qualiclip_metric.checkpoints import Checkpoint
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.training import TrainConfig, digests, find_photos, losses, run_folder, train
from qualiclip_metric.training import validate as run_validation
from qualiclip_metric.training.data import PristineDataset, degrade
from qualiclip_metric.training.loop import set_learning_rate
from qualiclip_metric.training.run import stored_settings
from qualiclip_metric.training.start import initial_checkpoint, parameter_groups
from tests.photos import write_photos

TINY = TrainConfig(
    steps=4,
    batch_size=2,
    crop_size=64,
    learning_rate=1e-3,
    reduction="mean",
    temperature=5.0,
    workers=0,
    validate_share=0.2,
    validate_every=4,
    checkpoint_every=2,
    precision="fp32",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 5)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A seeded random `lite`, so that these tests need no pretrained weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("origin") / "random.safetensors"
    features = torch.nn.functional.normalize(torch.randn(7, 2, 384), dim=-1)
    checkpoints.save(
        Checkpoint("lite", LiteEncoder().state_dict(), features, temperature=5.0), path
    )
    return path


class Killed(Exception):
    """Stands for a kill: nothing in the package catches it."""


def kill_at(step):
    def report(given):
        if given.phase == "training" and given.step == step:
            raise Killed

    return report


def steps_of(reports):
    return [r.step for r in reports if r.phase == "training"]


def copied(photos, folder):
    folder.mkdir()
    return [Path(shutil.copy(path, folder)) for path in photos]


def test_a_run_writes_a_model_that_scores(photos, origin, tmp_path):
    reports = []
    path = train(TINY, photos, tmp_path, pretrained=origin, report=reports.append)
    assert steps_of(reports) == [1, 2, 3, 4]
    assert reports[-1].validation is not None
    score = qualiclip_metric.create(path)(torch.rand(1, 3, 64, 64))
    assert 0 < score.item() < 1
    made = checkpoints.read(path).training
    assert made["config"] == TINY.to_dict() and made["step"] == 4
    assert made["data"]["start"] == checkpoints.read(origin).digest()
    assert json.loads((tmp_path / "validation.jsonl").read_text())["step"] == 4
    log = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name, value in reports[-1].scalars().items():
        assert log.Scalars(name)[-1].step == 4
        assert log.Scalars(name)[-1].value == pytest.approx(value, rel=1e-6)
    assert {"optimizer/learning_rate", "optimizer/gradient_norm", "loss/consistency"} <= set(
        log.Tags()["scalars"]
    )
    assert log.Scalars("throughput/crops_per_second")[0].value > 0


def loss_of(path, photos):
    """The loss of a checkpoint on the same crops, whatever it was trained on."""
    metric = qualiclip_metric.create(path)
    dataset = PristineDataset(photos, TINY)
    crops = degrade([dataset[number] for number in range(10)], TINY)
    with torch.no_grad():
        similarity = metric.similarities(crops.flatten(0, 2)).unflatten(0, crops.shape[:3])
    return sum(losses.ranking_losses(similarity, TINY).values()).item()


def test_training_lowers_the_loss(photos, origin, tmp_path):
    path = train(TINY, photos, tmp_path, pretrained=origin)
    assert loss_of(path, photos) < 0.97 * loss_of(origin, photos)


def test_a_run_stopped_early_leaves_a_state(photos, origin, tmp_path):
    config = dataclasses.replace(TINY, checkpoint_every=1000)
    with pytest.raises(Killed):
        train(config, photos, tmp_path, pretrained=origin, report=kill_at(1))
    assert run_folder.load_state(tmp_path)["step"] == 0
    reports = []
    train(config, photos, tmp_path, pretrained=origin, resume=True, report=reports.append)
    assert steps_of(reports) == [1, 2, 3, 4]


def test_a_state_is_written_when_steps_are_slow(photos, origin, tmp_path, monkeypatch):
    monkeypatch.setattr("qualiclip_metric.training.loop.CHECKPOINT_SECONDS", 0.0)
    config = dataclasses.replace(TINY, checkpoint_every=1000)
    with pytest.raises(Killed):
        train(config, photos, tmp_path, pretrained=origin, report=kill_at(3))
    assert run_folder.load_state(tmp_path)["step"] == 3


def test_a_start_without_resume_spares_the_state_until_it_has_a_newer_one(photos, origin, tmp_path):
    with pytest.raises(Killed):
        train(TINY, photos, tmp_path, pretrained=origin, report=kill_at(3))
    with pytest.raises(Killed):
        train(TINY, photos, tmp_path, pretrained=origin, report=kill_at(1))
    assert run_folder.load_state(tmp_path)["step"] == 2


def test_an_earlier_run_in_the_folder_does_not_keep_the_model_of_a_new_one_back(
    photos, origin, tmp_path
):
    run_folder.log_validation(tmp_path, 1, {"mean": 1.0})
    path = train(TINY, photos, tmp_path, pretrained=origin)
    assert checkpoints.read(path).training["step"] == 4
    assert [v["step"] for v in run_folder.read_validations(tmp_path)] == [4]


def test_a_resumed_run_equals_an_uninterrupted_one(photos, origin, tmp_path):
    whole = train(TINY, photos, tmp_path / "whole", pretrained=origin)
    with pytest.raises(Killed):
        train(TINY, photos, tmp_path / "cut", pretrained=origin, report=kill_at(3))
    reports = []
    resumed = train(
        TINY, photos, tmp_path / "cut", pretrained=origin, resume=True, report=reports.append
    )
    assert steps_of(reports) == [3, 4]
    ours, theirs = checkpoints.read(resumed).encoder, checkpoints.read(whole).encoder
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    logs = [(tmp_path / run / "validation.jsonl").read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_photos_in_shards_are_the_same_photos(photos, origin, tmp_path):
    """Packed in another order and with names as `tar -C photos .` writes them."""
    for number, some in enumerate((photos[:2], photos[2:])):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            for path in reversed(some):
                tar.add(path, f"./{path.name}")
    packed = find_photos([str(tmp_path / "{0..1}.tar")])
    assert [photo.read_bytes() for photo in packed] == [path.read_bytes() for path in photos]
    config = dataclasses.replace(TINY, workers=2, precision="bf16", max_distortions=2)
    files = train(config, photos, tmp_path / "files", pretrained=origin)
    with pytest.raises(Killed):
        train(config, packed, tmp_path / "shards", pretrained=origin, report=kill_at(3))
    shards = train(config, packed, tmp_path / "shards", pretrained=origin, resume=True)
    assert shards.read_bytes() == files.read_bytes()  # weights, digest, validation


def test_resuming_something_else_is_refused(photos, origin, tmp_path):
    with pytest.raises(FileNotFoundError, match="without --resume"):
        train(TINY, photos, tmp_path, pretrained=origin, resume=True)
    train(TINY, photos, tmp_path, pretrained=origin)
    other = dataclasses.replace(TINY, learning_rate=1e-2)
    with pytest.raises(ValueError, match="learning_rate: then"):
        train(other, photos, tmp_path, pretrained=origin, resume=True)
    with pytest.raises(ValueError, match="other photos"):
        train(TINY, photos[1:], tmp_path, pretrained=origin, resume=True)


def test_resuming_takes_other_settings_that_no_result_depends_on(photos, origin, tmp_path):
    with pytest.raises(Killed):
        train(TINY, photos, tmp_path, pretrained=origin, report=kill_at(3))
    assert stored_settings(tmp_path) == TINY.to_dict()
    with pytest.raises(ValueError, match="3 processes"):
        stored_settings(tmp_path, processes=3)
    other = dataclasses.replace(TINY, checkpoint_every=1, workers=1)
    train(other, photos, tmp_path, pretrained=origin, resume=True)
    assert run_folder.load_state(tmp_path)["step"] == 4


def test_only_what_should_learn_moves(photos, origin, tmp_path):
    before = checkpoints.read(origin)
    config = dataclasses.replace(TINY, trunk_learning_rate=1e-3, frozen_blocks=5)
    after = checkpoints.read(train(config, photos, tmp_path, pretrained=origin))
    moved = {k for k, v in after.encoder.items() if not torch.equal(v, before.encoder[k])}
    assert {k.split(".")[0] for k in moved} == {"projection", "trunk"}
    assert {int(k.split(".")[2]) for k in moved if k.startswith("trunk")} == {5, 6}
    assert torch.equal(after.prompts, before.prompts)


def test_a_loss_that_is_not_finite_stops_the_run(photos, origin, tmp_path, monkeypatch):
    good = losses.ranking_losses

    def broken(similarity, config):
        return {k: v * float("nan") for k, v in good(similarity, config).items()}

    monkeypatch.setattr(losses, "ranking_losses", broken)
    with pytest.raises(FloatingPointError, match="step 0"):
        train(TINY, photos, tmp_path, pretrained=origin)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_model_whose_scores_are_not_finite_is_not_written(photos, origin, tmp_path, monkeypatch):
    def diverge(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", diverge)
    config = dataclasses.replace(TINY, steps=1)
    with pytest.raises(FloatingPointError, match="step 1"):
        train(config, photos, tmp_path, pretrained=origin)
    assert not (tmp_path / "model.safetensors").exists()
    assert run_folder.load_state(tmp_path)["step"] == 0


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_learning_rate_rises_to_its_peak_and_ends_at_0(warmup):
    config = dataclasses.replace(TINY, steps=100, warmup=warmup, trunk_learning_rate=1e-4)
    optimizer = torch.optim.AdamW(parameter_groups(LiteEncoder(), config))
    rates = [set_learning_rate(optimizer, step, config) for step in range(100)]
    rise = round(100 * warmup)
    assert rates[:rise] == pytest.approx([1e-3 * (step + 1) / rise for step in range(rise)])
    assert rates[rise] == max(rates) == pytest.approx(1e-3)
    assert all(a > b for a, b in itertools.pairwise(rates[rise:]))
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.0, config.weight_decay}
    assert set_learning_rate(optimizer, 0, dataclasses.replace(config, steps=1, warmup=0.0)) > 0


def test_a_start_of_another_architecture_is_refused(origin):
    with pytest.raises(ValueError, match="rn50"):
        initial_checkpoint(TrainConfig(model="rn50"), origin)
    with pytest.raises(ValueError, match="give --pretrained"):
        initial_checkpoint(TrainConfig(model="rn50"))


class Brightness(torch.nn.Module):
    """A metric that is known to order darkening right and brightening wrong."""

    device = torch.device("cpu")

    def forward(self, img):
        return img.mean(dim=(1, 2, 3), keepdim=False)[:, None]


def test_validation_counts_what_it_says(photos):
    result = run_validation(
        Brightness(), photos, types=("darken", "brighten"), unseen=("brighten",)
    )
    assert result.ordered == {"darken": 1.0, "brighten": 0.0}
    assert result.below_pristine == {"darken": 1.0, "brighten": 0.0}
    assert result.levels["darken"] == sorted(result.levels["darken"], reverse=True)
    assert len(result.levels["brighten"]) == 6
    assert result.mean == 1.0 and result.mean_unseen == 0.0
    assert result.photos == 5
    crops = run_validation(Brightness(), photos, types=("darken",), crop_size=64)
    assert crops.consistency_gap > 0
    with pytest.raises(ValueError, match="pristine"):
        run_validation(Brightness(), [])


def test_validation_leaves_out_what_cannot_be_read(photos, tmp_path, caplog):
    broken = copied(photos, tmp_path / "photos")
    broken[0].write_text("no image")
    with caplog.at_level(logging.WARNING):
        result = run_validation(Brightness(), broken, types=("darken",), crop_size=64)
    assert (result.photos, result.skipped) == (4, 1)
    assert result.to_dict()["skipped"] == 1
    assert "0.png" in caplog.text
    with pytest.raises(ValueError, match="none of 1"):
        run_validation(Brightness(), broken[:1])


def with_broken_held_out(photos, folder, share):
    """Copies of the photos beside a file that is no image and falls among those held out."""
    copies = copied(photos, folder)
    broken = folder / "broken.png"
    held = []
    for number in itertools.count():
        broken.write_text(f"no image {number}")
        held = digests.split(digests.digest_photos([*copies, broken]), share)[1]
        if broken in held:
            break
    return [*copies, broken], held


def test_an_unreadable_held_out_photo_ends_no_training(photos, origin, tmp_path, caplog):
    config = dataclasses.replace(TINY, validate_share=0.6)
    files, held = with_broken_held_out(photos, tmp_path / "photos", 0.6)
    reports = []
    train(config, files, tmp_path / "run", pretrained=origin, report=reports.append)
    found = reports[-1].validation
    assert found.skipped == 1 and found.photos == len(held) - 1 > 0
    assert "broken.png" in caplog.text


def test_a_run_with_no_readable_photo_held_out_ends_before_its_first_step(photos, origin, tmp_path):
    config = dataclasses.replace(TINY, validate_share=1e-9)
    files, held = with_broken_held_out(photos, tmp_path / "photos", 1e-9)
    assert len(held) == 1
    with pytest.raises(ValueError, match="none of the 1"):
        train(config, files, tmp_path / "run", pretrained=origin)
    assert not (tmp_path / "run" / "state.pt").exists()
