"""`qualiclip train` and `qualiclip validate`: what they say, and how they end."""

import dataclasses
import gzip
import tarfile

import pytest
import torch
from typer.testing import CliRunner

from qualiclip_metric import progress
from qualiclip_metric.cli import app
from qualiclip_metric.cli.training_progress import TrainingProgress
from qualiclip_metric.images import to_picture
from qualiclip_metric.training.loop import Report
from qualiclip_metric.training.validation import Validation

TINY = (
    "--set steps=2 --set batch_size=1 --set crop_size=64 --set workers=0 --set precision=fp32 "
    "--set validate_share=0.2"
).split()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for number in range(4):
        coarse = torch.rand(1, 3, 12, 12, generator=rng)
        img = torch.nn.functional.interpolate(coarse, (80, 90), mode="nearest")[0]
        to_picture(img).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No weights on this machine, and no network."""
    monkeypatch.delenv("QUALICLIP_WEIGHTS", raising=False)
    for name in ("QUALICLIP_HOME", "HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_training_from_published_weights_without_network_says_what_to_do(photos, tmp_path, nowhere):
    result = run("train", "--images", photos, "--out", tmp_path / "run", "--pretrained", "openai")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "error: openai: the published weights" in result.stderr
    assert "put it  into" in result.stderr


def test_validating_published_weights_without_network_says_what_to_do(photos, nowhere):
    result = run("validate", "--images", photos, "--model", "qualiclip")
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert "error: qualiclip: the published weights" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--anchor", "foo"], 1, "anchor: expected none or one of mdsi, got 'foo'"),
        (["--across", "--type", "jpeg"], 2, "drop --type, --crop-size, --anchor"),
    ],
)
def test_validate_refuses_what_it_would_not_do(photos, words, code, message):
    result = CliRunner().invoke(app, ["validate", "--images", str(photos), *words])
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_train_then_validate(photos, random_lite, tmp_path):
    (photos / "broken.png").write_text("no image")
    out = tmp_path / "run"
    result = run("train", "--images", photos, "--out", out, "--pretrained", random_lite, *TINY)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out / "model.safetensors")
    assert result.stderr.startswith("5 photos, 2 steps, lite\n")
    assert "step 2 of 2: loss" in result.stderr
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
    assert none.exit_code == 1 and "none of 1 can be read" in none.stderr


def test_ctrl_c_says_how_to_go_on(photos, random_lite, tmp_path, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("qualiclip_metric.training.train", interrupted)
    result = run(
        "train", "--images", photos, "--out", tmp_path / "a", "--pretrained", random_lite, *TINY
    )
    assert result.exit_code == 130
    assert "--resume goes on" in result.stderr


def test_a_line_every_30_seconds_where_there_is_no_terminal(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with TrainingProgress() as show:
        for second in range(0, 100, 10):
            clock[0] = float(second)
            show(Report("training", 1 + second, 200, {"total": 0.25}, 12.0))
        show(Report("validation", 7, 9))
    assert capsys.readouterr().err.splitlines() == [
        "training: 31 of 200, 1.0 steps/s, 0:02:44 left, loss 0.2500, 12 crops/s",
        "training: 61 of 200, 1.0 steps/s, 0:02:17 left, loss 0.2500, 12 crops/s",
        "training: 91 of 200, 1.0 steps/s, 0:01:48 left, loss 0.2500, 12 crops/s",
    ]


def test_validations_are_always_shown_and_silent_processes_never(capsys):
    found = Validation({"darken": 0.8}, {"darken": 1.0}, {"darken": [0.0] * 6}, 0.25, 3, skipped=2)
    report = Report("training", 5, 10, {"total": 0.5}, 3.0, found)
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
