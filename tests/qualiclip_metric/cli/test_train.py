"""`qualiclip train` and `qualiclip validate`: their messages, exit codes and resuming."""

import dataclasses
import gzip
import tarfile

import pytest
from typer.testing import CliRunner

from qualiclip_metric.cli import app
from qualiclip_metric.cli.training_progress import TrainingProgress
from qualiclip_metric.training.report import Report
from qualiclip_metric.training.validation import Validation
from tests.photos import write_photos

TINY = (
    "--set steps=2 --set batch_size=1 --set crop_size=64 --set workers=0 --set precision=fp32 "
    "--set validate_share=0.2"
).split()


@pytest.fixture
def photos(tmp_path):
    write_photos(tmp_path / "photos", 4, (80, 90))
    return tmp_path / "photos"


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_published_weights_without_network_name_the_cure(photos, tmp_path, home):
    result = run("train", "--images", photos, "--out", tmp_path / "run", "--pretrained", "openai")
    assert result.exit_code == 1 and "put it  into" in result.stderr
    result = run("validate", "--images", photos, "--model", "qualiclip")
    assert result.exit_code == 2 and "put it  into" in result.stderr


def test_validate_refuses_options_that_it_would_ignore(photos):
    result = run("validate", "--images", photos, "--across", "--type", "jpeg")
    assert result.exit_code == 2
    assert "drop --type" in " ".join(result.stderr.split())


def test_train_then_validate(photos, random_lite, tmp_path, caplog):
    (photos / "broken.png").write_text("no image")
    out = tmp_path / "run"
    result = run("train", "--images", photos, "--out", out, "--pretrained", random_lite, *TINY)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out / "model.safetensors")
    assert result.stderr.startswith("5 photos, 2 steps, lite\n")
    assert "step 2 of 2: loss" in result.stderr
    assert "1 of 5 photos held out" in caplog.text
    table = result.stderr.splitlines()
    assert any("consistency" in line and "positive" in line for line in table)
    assert any("2 to 2" in line and "#" in line for line in table)
    model = result.stdout.strip()
    found = run("validate", "--images", photos, "--model", model, "--type", "darken")
    assert found.exit_code == 0
    assert "4 photos, 1 left out, " in found.stderr
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(photos, ".")
    packed = run(
        "validate", "--images", tmp_path / "photos.tar", "--model", model, "--type", "darken"
    )
    assert (packed.exit_code, packed.stdout) == (0, found.stdout)
    compressed = tmp_path / "photos.tar.gz"
    compressed.write_bytes(gzip.compress((tmp_path / "photos.tar").read_bytes()))
    refused = run("train", "--images", compressed, "--out", tmp_path / "other")
    assert refused.exit_code == 2 and "uncompressed" in refused.stderr
    (only := tmp_path / "only").mkdir()
    (photos / "broken.png").rename(only / "broken.png")
    none = run("validate", "--images", only, "--model", model)
    assert none.exit_code == 1 and "none of 1" in none.stderr


def interrupt_after(monkeypatch, step):
    """Ctrl-C after a training step; with 0 before the first, while photos are hashed."""
    show = TrainingProgress.__call__

    def interrupt(self, report):
        show(self, report)
        if step == 0 or (report.phase == "training" and report.step == step):
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingProgress, "__call__", interrupt)


def test_ctrl_c_promises_resume_only_where_there_is_a_state(
    photos, random_lite, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    words = ["train", "--images", photos, "--out", out, "--pretrained", random_lite]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 0)
        result = run(*words, *TINY)
    assert result.exit_code == 130 and not (out / "state.pt").exists()
    assert "first step" in result.stderr and "--resume" not in result.stderr
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        result = run(*words, *TINY, "--set", "checkpoint_every=1")
    assert result.exit_code == 130 and "--resume" in result.stderr
    with monkeypatch.context() as patch:
        interrupt_after(patch, 0)
        result = run(*words, *TINY)  # another run, which has not replaced that state yet
    assert result.exit_code == 130 and "--resume" not in result.stderr


def test_resume_takes_the_stored_settings(photos, random_lite, tmp_path, monkeypatch):
    out, config = tmp_path / "run", tmp_path / "config.toml"
    config.write_text("steps = 9\nbatch_size = 1\n")
    words = ["train", "--images", photos, "--out", out, "--pretrained", random_lite]
    words += ["--config", config]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        run(*words, *TINY, "--set", "checkpoint_every=1")
    resumed = run(*words, "--resume", "--set", "checkpoint_every=5")
    assert resumed.exit_code == 0, resumed.stderr
    assert "2 steps" in resumed.stderr and "stored steps used" in resumed.stderr
    refused = run(*words, "--resume", "--set", "learning_rate=1.0")
    assert refused.exit_code == 1 and "learning_rate" in refused.stderr


def test_validations_are_always_shown_and_silent_processes_never(capsys):
    found = Validation({"darken": 0.8}, {"darken": 1.0}, {"darken": [0.0] * 6}, 0.25, 3, skipped=2)
    report = Report("training", 5, 10, {"total": 0.5}, crops_per_second=3.0, validation=found)
    with TrainingProgress() as show:
        show(report)
        show(dataclasses.replace(report, validation=None))
    assert capsys.readouterr().err == (
        "step 5 of 10: loss 0.5000, 3 crops/s, level pairs in order 0.8000 (least 0.800), "
        "consistency gap 0.250, 2 photos left out\n"
    )
    with TrainingProgress(show=False) as show:
        show(report)
    assert capsys.readouterr().err == ""
