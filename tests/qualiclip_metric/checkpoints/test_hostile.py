"""Damaged or malicious checkpoints: refused in one line that names the file."""

import json
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from qualiclip_metric import checkpoints
from qualiclip_metric.checkpoints import Checkpoint, CheckpointError
from qualiclip_metric.diagnosis import DESCRIPTORS

HEADER = {
    "format": "qualiclip_metric/1",
    "architecture": "lite",
    "logit_scale": "10.0",
    "temperature": "2.0",
}


def model(**changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "architecture": "lite",
        "encoder": {"a.weight": torch.rand(3, 2)},
        "prompts": torch.rand(7, 2, 5),
    }
    return Checkpoint(**(values | changes))


def refused(path: Path, message: str) -> None:
    """It is refused in one line that begins with the file's name."""
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def with_value(tensor: torch.Tensor, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[-1] = value
    return changed


# --- values that no model has ------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("write", [checkpoints.save, checkpoints.save_pyiqa])
def test_one_value_that_is_not_finite(write: Any, value: float, tmp_path: Path) -> None:
    path = tmp_path / "m.any"
    write(model(encoder={"a.weight": with_value(torch.rand(3, 2), value)}), path)
    refused(path, r"encoder\.a\.weight: 1 of 6")
    write(model(prompts=with_value(torch.rand(7, 2, 5), value)), path)
    refused(path, "prompts: 1 of 70")
    write(model(prompts=None, learner={"ctx": with_value(torch.rand(2, 3, 4), value)}), path)
    refused(path, r"learner\.ctx: 1 of 24")


def test_values_whose_sum_is_too_large_are_finite(tmp_path: Path) -> None:
    checkpoints.save(model(encoder={"a.weight": torch.full((4,), 3e38)}), tmp_path / "m")
    assert checkpoints.read(tmp_path / "m").encoder["a.weight"].isfinite().all()


@pytest.mark.parametrize("name", ["logit_scale", "temperature"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_scales_must_be_finite_and_above_0(name: str, value: float, tmp_path: Path) -> None:
    checkpoints.save(model(**{name: value}), tmp_path / "m")
    refused(tmp_path / "m", f"{name}: .*{value}")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    for dtype in (torch.int8, torch.int64, torch.bool):
        tensors = {"encoder.a": torch.ones(2, dtype=dtype), "prompts": torch.rand(7, 2, 5)}
        save_file(tensors, tmp_path / "m.safetensors", HEADER)
        refused(tmp_path / "m.safetensors", rf"encoder\.a: .* {dtype}")
    save_file({"prompts": torch.ones(7, 2, 5).int()}, tmp_path / "m.safetensors", HEADER)
    refused(tmp_path / "m.safetensors", "floating point")


@pytest.mark.parametrize("shape", [(0, 2, 5), (7, 2, 0), (7, 3, 5), (14, 5), ()])
def test_prompts_of_another_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    checkpoints.save(model(prompts=torch.rand(shape)), tmp_path / "m")
    refused(tmp_path / "m", "shape")


def test_prompts_and_their_texts_differ_in_number(tmp_path: Path) -> None:
    checkpoints.save(model(pairs=(("Good.", "Bad."),)), tmp_path / "m")
    refused(tmp_path / "m", "got 7 and 1")


INPUTS = 432 + len(DESCRIPTORS)
TENSORS = {
    "mean": torch.zeros(INPUTS),
    "std": torch.ones(INPUTS),
    "weight": torch.rand(3, INPUTS),
    "bias": torch.rand(3),
}
CLASSES = ("none", "blur", "blur")


@pytest.mark.parametrize(
    ("tensors", "classes"),
    [
        (TENSORS | {"bias": with_value(torch.rand(3), float("nan"))}, CLASSES),
        (TENSORS | {"weight": torch.rand(3, 432)}, CLASSES),
        (TENSORS | {"std": torch.zeros(INPUTS)}, CLASSES),
        ({"weight": TENSORS["weight"]}, CLASSES),
        ({}, CLASSES),
        (TENSORS, ()),
        (TENSORS, ("none", "blur")),
        (TENSORS, ("noise", "blur", "blur")),
        (TENSORS, ("none", "none", "none")),
    ],
    ids=[
        "nan", "no descriptors", "no spread", "weight alone", "no tensor", "no class", "too few",
        "no none", "no fault",
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [checkpoints.save, checkpoints.save_pyiqa])
def test_a_diagnosis_whose_parts_do_not_fit(
    write: Any, tensors: dict[str, torch.Tensor], classes: tuple[str, ...], tmp_path: Path
) -> None:
    write(model(diagnosis=TENSORS, fault_classes=CLASSES), tmp_path / "m")
    found = checkpoints.read(tmp_path / "m")
    assert found.fault_classes == CLASSES
    assert all(torch.equal(found.diagnosis[name], TENSORS[name]) for name in TENSORS)
    write(model(diagnosis=tensors, fault_classes=classes), tmp_path / "m")
    refused(tmp_path / "m", "diagnosis|fault_classes")


def test_a_text_tower_of_another_shape(seeded_official: Path) -> None:
    whole = checkpoints.read(seeded_official)
    text = {**whole.text, "ln_final.bias": torch.zeros(3)}
    from qualiclip_metric.build import from_checkpoint

    with pytest.raises(CheckpointError, match="text tower"):
        from_checkpoint(replace(whole, prompts=None, text=text))


# --- files that hold no model -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_empty_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.touch()
    refused(path, "empty")


@pytest.mark.parametrize(
    "content",
    [5, None, "text", [5], {"params": 5}, {"params": {"prompts_features": torch.ones(3)}}],
    ids=repr,
)
def test_content_that_is_no_model(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "expected")


@pytest.mark.parametrize("value", [5, None, "text", [1], {"architecture": 5}], ids=repr)
def test_a_header_must_hold_texts_by_name(value: Any, tmp_path: Path) -> None:
    torch.save({"qualiclip_metric": value}, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "header")


@pytest.mark.parametrize(
    "learner",
    [
        {"prompt_learner.ctx": torch.rand(3)},
        {"prompt_learner.ctx": torch.rand(16, 4)},
        {"visual.conv1.weight": torch.rand(2, 2), "logit_scale": torch.rand(2)},
    ],
)
def test_layouts_with_parts_of_another_shape(learner: Any, tmp_path: Path) -> None:
    torch.save(learner, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "expected")


# --- files that would fill the memory ------------------------------------------------------------


def bomb(path: Path, megabytes: int, *names: str) -> Path:
    """A zip archive of zeros, compressed about a thousandfold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in names:
            with archive.open(f"m/{name}", "w", force_zip64=True) as file:
                for _ in range(megabytes):
                    file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize(
    "names",
    [("data.pkl", "constants.pkl"), ("data.pkl",), ("data.pkl", "constants.pkl", "data/0")],
)
def test_an_archive_that_unpacks_to_a_multiple_is_not_unpacked(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    path = bomb(tmp_path / "m.pt", 100, *names)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        refused(path, "unpacks")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_tensor_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    torch.save({"prompts_features": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "larger than what the file holds")


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_a_sparse_tensor(tmp_path: Path) -> None:
    torch.save({"prompts_features": torch.eye(4).to_sparse()}, tmp_path / "m.pth")
    refused(tmp_path / "m.pth", "expected a dense tensor|damaged|refused")


# --- the same model, the same bytes --------------------------------------------------------------

WRITE = """
import sys, torch
from qualiclip_metric import checkpoints
encoder = {f"layer{i}.weight": torch.full((3, 2), float(i)) for i in range(20)}
pairs = (("Gutes Bild.", "Schlechtes Bild – unscharf."),)
training = {"b": 1, "a": 2}
model = checkpoints.Checkpoint("lite", encoder, torch.ones(1, 2, 5), pairs, training=training)
checkpoints.save(model, sys.argv[1] + ".safetensors")
checkpoints.save_pyiqa(model, sys.argv[1] + ".pth")
"""


def test_two_processes_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / "a")], check=True)
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "b")])
    exec(WRITE)  # in this process, whose texts have other hashes
    for suffix in (".safetensors", ".pth"):
        contents = [(tmp_path / f"{name}{suffix}").read_bytes() for name in "ab"]
        assert contents[0] == contents[1], suffix
    assert checkpoints.read(tmp_path / "a.safetensors").pairs[0][1] == "Schlechtes Bild – unscharf."
    data = (tmp_path / "a.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
