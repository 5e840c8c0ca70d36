"""Every checkpoint format that is read, and none that could run code."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from qualiclip_metric import checkpoints
from qualiclip_metric.checkpoints import (
    PUBLISHED,
    Checkpoint,
    CheckpointError,
    Published,
    WeightsSource,
)

CLIP = {
    "visual.conv1.weight": torch.rand(2, 3),
    "visual.bn1.running_var": torch.ones(2),
    "visual.attnpool.positional_embedding": torch.rand(5, 2),
    "visual.attnpool.q_proj.weight": torch.rand(2, 2),
    "positional_embedding": torch.rand(4, 2),
    "transformer.resblocks.0.ln_1.weight": torch.rand(2),
    "token_embedding.weight": torch.rand(9, 2),
    "ln_final.bias": torch.rand(2),
    "text_projection": torch.rand(2, 2),
    "logit_scale": torch.tensor(100.0).log(),
}
OFFICIAL = {f"clip_model.{k}": v for k, v in CLIP.items()} | {"prompts_features": torch.rand(14, 6)}
LEARNER = {"ctx": torch.rand(14, 16, 4), "token_prefix": torch.rand(14, 1, 4)}
ENCODER_KEYS = {
    "trunk.conv1.weight",
    "trunk.bn1.running_var",
    "trunk.bn1.num_batches_tracked",
    "pool.q_proj.weight",
}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def model(**changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "architecture": "lite",
        "encoder": {"a.weight": torch.rand(3, 2), "n.num_batches_tracked": torch.tensor(4)},
        "prompts": torch.rand(7, 2, 5),
        "pairs": tuple((f"Good {i}.", f"Bad {i}.") for i in range(7)),
        "logit_scale": 12.5,
        "temperature": 3.0,
        "licence": "CC0",
        "training": {"steps": 7},
    }
    return Checkpoint(**(values | changes))


def same(ours: Checkpoint, theirs: Checkpoint) -> None:
    assert ours.digest() == theirs.digest()
    for name in ("architecture", "pairs", "logit_scale", "temperature", "licence", "training"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.encoder.keys() == theirs.encoder.keys()
    assert ours.learner.keys() == theirs.learner.keys()


@pytest.mark.parametrize("write", [checkpoints.save, checkpoints.save_pyiqa])
@pytest.mark.parametrize("changes", [{}, {"prompts": None, "learner": LEARNER}])
def test_what_we_write_we_read(write: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    original, path = model(**changes), tmp_path / "folder" / "model.any"
    write(original, path)
    same(checkpoints.read(path), original)
    assert [file.name for file in path.parent.iterdir()] == ["model.any"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="JSON"):
        checkpoints.save(model(training={"not": object()}), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("legacy", [False, True])
def test_official(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "qualiclip.pth"
    torch.save(OFFICIAL, path, _use_new_zipfile_serialization=not legacy)
    checkpoint = checkpoints.read(path)
    assert checkpoint.architecture == "rn50"
    assert checkpoint.encoder.keys() == ENCODER_KEYS
    assert checkpoint.prompts is not None
    torch.testing.assert_close(checkpoint.prompts[3, 1], OFFICIAL["prompts_features"][7])
    assert checkpoint.logit_scale == pytest.approx(100.0)
    assert "token_embedding.weight" in checkpoint.text
    assert checkpoint.licence == "CC BY-NC 4.0"


@pytest.mark.parametrize(
    ("wrap", "prefix", "write"),
    [
        (dict, "", saved),
        (dict, "", save_file),
        (lambda tensors: {"state_dict": tensors, "epoch": 3}, "module.", saved),
    ],
)
def test_clip_of_openai_and_open_clip(wrap: Any, prefix: str, write: Any, tmp_path: Path) -> None:
    path = tmp_path / f"RN50.{'pt' if write is saved else 'safetensors'}"
    write(wrap({prefix + k: v.half() for k, v in CLIP.items()}), path)
    checkpoint = checkpoints.read(path)
    assert checkpoint.encoder.keys() == ENCODER_KEYS
    assert checkpoint.encoder["trunk.conv1.weight"].dtype == torch.float32
    assert checkpoint.prompts is None
    assert checkpoint.logit_scale == pytest.approx(100.0, rel=1e-2)


def test_learned_prompts_take_the_rest_from_a_base(tmp_path: Path) -> None:
    content = {"params": {f"prompt_learner.{k}": v for k, v in LEARNER.items()}}
    plus = checkpoints.read(saved(content, tmp_path / "plus.pth"))
    base = checkpoints.read(saved(OFFICIAL, tmp_path / "base.pth"))
    assert plus.learner.keys() == LEARNER.keys()
    assert not plus.encoder
    whole = plus.with_base_model(base)
    assert whole.encoder.keys() == ENCODER_KEYS
    assert whole.logit_scale == base.logit_scale
    assert {"ctx", "tower.ln_final.bias"} <= whole.learner.keys()
    assert "tower.token_embedding.weight" not in whole.learner
    with pytest.raises(CheckpointError, match="text tower"):
        plus.with_base_model(model())


class Nested(nn.Module):
    """Nested modules with the names that OpenAI's archive has, shared and sliced storages too."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            first, _, rest = name.partition(".")
            if not rest:
                self.register_buffer(first, tensor)
        firsts = {name.split(".")[0] for name in tensors if "." in name}
        for first in firsts:
            inside = {k: v for k, v in tensors.items() if k.startswith(f"{first}.")}
            inner = {k.removeprefix(f"{first}."): v for k, v in inside.items()}
            self.add_module(first, Nested(inner))

    def forward(self, x: Tensor) -> Tensor:
        return x


def scripted(path: Path) -> Path:
    tensors = dict(CLIP) | {"visual.conv1.weight": CLIP["visual.conv1.weight"].half().t()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Nested(tensors)), path)
    return path


def test_a_torchscript_archive_is_opened_if_its_digest_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scripted(tmp_path / "RN50.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        checkpoints.read(path)
    source = WeightsSource("RN50.pt", sha256=checkpoints.sha256_of(path))
    monkeypatch.setitem(PUBLISHED, "scripted", Published((source,), "CC0", "a test's archive"))
    checkpoint = checkpoints.read(path)
    assert checkpoint.encoder.keys() == ENCODER_KEYS
    expected = CLIP["visual.conv1.weight"].half().float().t()
    torch.testing.assert_close(checkpoint.encoder["trunk.conv1.weight"], expected)
    torch.testing.assert_close(checkpoint.text["text_projection"], CLIP["text_projection"])


class Bomb:
    """Would create a file when unpickled by Python's own unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(zipped: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "bomb.pth", tmp_path / "ran"
    content = {**OFFICIAL, "bomb": Bomb(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="code") as caught:
        checkpoints.read(path)
    assert not mark.exists()
    assert "weights_only" not in str(caught.value)  # torch's own message tells how to load it


def test_a_photo_is_no_checkpoint_and_nobody_is_told_to_load_it(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.jpg")
    with pytest.raises(CheckpointError, match="torch file") as caught:
        checkpoints.read(tmp_path / "photo.jpg")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    (saved if suffix == ".pth" else save_file)(OFFICIAL, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"truncated|damaged"):
        checkpoints.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.rand(2)}, "layout"),
        ([1, 2], "got list"),
        ({k: v for k, v in CLIP.items() if k != "logit_scale"}, "logit_scale"),
        ({**OFFICIAL, "prompts_features": torch.rand(13, 6)}, "2 x pairs"),
        ({"params": {}, "qualiclip_metric": {"format": "x"}}, "architecture"),
        (None, "format"),
    ],
)
def test_another_layout_is_named(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    with pytest.raises(FileNotFoundError):
        checkpoints.read(path)
    if content is None:
        save_file({"a": torch.rand(2)}, path)
    else:
        saved(content, path)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.read(path)


def test_the_digest_is_of_what_scores_depend_on() -> None:
    base = model()
    assert model(**vars(base) | {"licence": "other", "training": {}}).digest() == base.digest()
    counted = {**base.encoder, "x.num_batches_tracked": torch.tensor(5)}
    assert model(**vars(base) | {"encoder": counted}).digest() == base.digest()
    moved = {**base.encoder, "a.weight": base.encoder["a.weight"] + 1e-3}
    for change in ({"encoder": moved}, {"logit_scale": 13.0}, {"prompts": torch.rand(7, 2, 5)}):
        assert model(**vars(base) | change).digest() != base.digest(), change
