"""pyiqa's front door: options, inputs, `load_weights`, the command. Orders: test_plugin_imports."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from qualiclip_metric import checkpoints, plugin
from qualiclip_metric.build import create
from qualiclip_metric.checkpoints import Checkpoint, WeightsError
from qualiclip_metric.metric import QualiCLIP

pyiqa = pytest.importorskip("pyiqa")


@pytest.fixture(autouse=True)
def published(random_lite: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model stands for the published one."""
    monkeypatch.setenv("QUALICLIP_WEIGHTS", str(random_lite))
    monkeypatch.setattr("qualiclip_metric.checkpoints.model_names._REGISTERED", {})
    return random_lite


def build(name: str = "qualiclip", **options: Any) -> Any:
    return pyiqa.create_metric(name, device="cpu", **options)


IMG = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_it_is_ours_with_our_numbers(published: Path) -> None:
    metric, own = build(), create(published)
    assert type(metric.net) is QualiCLIP
    assert metric.net.signature == own.signature
    torch.testing.assert_close(metric(IMG), own(IMG), atol=0, rtol=0)
    assert not metric.lower_better
    assert metric.metric_mode == "NR"


def test_options(published: Path) -> None:
    metric = build(weights=published, temperature=1.5, precision="bf16")
    assert "|temperature:1.5|precision:bf16|" in str(metric.net.signature)
    assert build(pretrained=True, pos_embedding=False).net.signature is not None


@pytest.mark.parametrize("option", [{"backbone": "ViT-B/32"}, {"pretrained": False}, {"size": 3}])
def test_options_that_only_pyiqas_class_has(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="QUALICLIP_PYIQA"):
        build(**option)


def test_offline_the_message_names_pyiqas_own_way_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="published weights") as error:
        build()
    assert "pyiqa.create_metric('qualiclip', weights='lite')" in str(error.value)
    assert type(build(weights="lite").net) is QualiCLIP
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    assert str(build().net.signature).startswith("model:lite|")


# the other names of QualiCLIP+ differ in their file only
@pytest.mark.parametrize("name", ["qualiclip", "qualiclip+-spaq", "qualiclip-lite"])
def test_a_name_can_be_a_loss_of_values_outside_0_and_1(
    name: str,
    seeded_official: Path,
    seeded_plus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pyiqa's own test of gradients: with `as_loss`, it checks no range, and neither do we."""
    monkeypatch.delenv("QUALICLIP_WEIGHTS")
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path))
    if name in checkpoints.PUBLISHED:
        (tmp_path / "QualiCLIP.pth").symlink_to(seeded_official)
        if name != "qualiclip":
            file = checkpoints.PUBLISHED[name].sources[0].file
            (tmp_path / file).symlink_to(seeded_plus)
    metric = build(name, as_loss=True)
    img = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    metric(img).sum().backward()
    assert img.grad is not None
    assert img.grad.isfinite().all()
    assert img.grad.abs().sum() > 0


def test_the_range_is_checked_by_pyiqa_and_its_switch() -> None:
    metric, img = build(), IMG * 1.01
    with pytest.raises(AssertionError, match="normalized"):
        metric(img)
    assert build(check_input_range=False)(img).min() >= 0
    with torch.no_grad():
        assert build(as_loss=True)(img).isfinite()
    assert not metric(IMG.clone().requires_grad_(True)).requires_grad


def test_grey_tensors_are_three_equal_channels() -> None:
    metric = build()
    grey = IMG[:, :1]
    torch.testing.assert_close(metric(grey), metric(grey.expand(-1, 3, -1, -1)), atol=0, rtol=0)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_files(mode: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "img.png")
    from qualiclip_metric.images import read

    score = build()(str(tmp_path / "img.png"))
    torch.testing.assert_close(score, build()(read(tmp_path / "img.png")[None]), atol=1e-6, rtol=0)


def test_load_weights(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = flipped(checkpoints.read(published))
    checkpoints.save_pyiqa(other, tmp_path / "other.pth")
    metric = build()
    before = metric.net.signature
    metric.load_weights(str(tmp_path / "other.pth"))
    torch.testing.assert_close(metric(IMG), create(tmp_path / "other.pth")(IMG), atol=0, rtol=0)
    assert metric.net.signature.weights == other.digest()[:8] != before.weights
    assert metric.net.signature.model == "custom"


def flipped(checkpoint: Checkpoint) -> Checkpoint:
    assert checkpoint.prompts is not None
    return Checkpoint(**{**vars(checkpoint), "prompts": checkpoint.prompts.flip(1)})


def test_registered_checkpoints(published: Path, tmp_path: Path) -> None:
    checkpoints.save(flipped(checkpoints.read(published)), tmp_path / "own.safetensors")
    plugin.register_checkpoint("own", tmp_path / "own.safetensors")
    assert "own" in pyiqa.list_models()
    assert str(build("own").net.signature).startswith("model:own|")
    with pytest.warns(UserWarning, match="niqe"):
        plugin.register_checkpoint("niqe", published)
    assert type(build("qualiclip-lite", weights="own").net) is QualiCLIP


@pytest.mark.filterwarnings("ignore")
def test_the_pyiqa_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyiqa.pyiqa_cmd import main

    for i in range(2):
        Image.fromarray(np.full((64, 96, 3), 90 * i, np.uint8)).save(tmp_path / f"{i}.png")
    argv = ["pyiqa", "qualiclip", "-t", str(tmp_path), "--device", "cpu", "--verbose"]
    monkeypatch.setattr(sys, "argv", argv)
    main()
    out = capsys.readouterr().out
    assert "'mean'" in out
    assert str(tmp_path / "1.png") in out
