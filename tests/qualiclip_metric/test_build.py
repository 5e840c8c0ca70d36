"""`create` on every kind of checkpoint, and the signature of what was loaded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from qualiclip_metric import build, checkpoints, signature
from qualiclip_metric.build import create
from qualiclip_metric.checkpoints import CheckpointError
from qualiclip_metric.metric import QualiCLIP


@pytest.fixture
def base(seeded_official: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The seeded checkpoint stands for the published one."""
    monkeypatch.setenv("QUALICLIP_WEIGHTS", str(seeded_official))
    return seeded_official


@pytest.fixture(scope="module")
def rn50(seeded_official: Path) -> QualiCLIP:
    return create(seeded_official)


IMG = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_published_layout(rn50: QualiCLIP) -> None:
    assert str(rn50.signature).startswith("model:rn50|weights:")
    assert "|prompts:7x2|temperature:2|precision:fp32|" in str(rn50.signature)
    assert float(rn50.logit_scale) == pytest.approx(100.0)
    assert not rn50.training
    assert not any(p.requires_grad for p in rn50.parameters())
    alone = torch.cat([rn50(one[None]) for one in IMG])
    assert (rn50(IMG) - alone).abs().max() < 1e-6


def test_learned_prompts_take_encoder_and_text_from_the_base(
    base: Path, seeded_plus: Path, rn50: QualiCLIP
) -> None:
    plus = create(seeded_plus)
    torch.testing.assert_close(
        plus.state_dict()["encoder.pool.c_proj.bias"], rn50.state_dict()["encoder.pool.c_proj.bias"]
    )
    assert plus.prompts.shape == (7, 2, 1024)
    assert "text.ctx" in plus.state_dict()
    assert (plus(IMG) - rn50(IMG)).abs().max() > 1e-3
    calls: list[int] = []
    plus.text.get_submodule("tower").register_forward_hook(lambda *_: calls.append(1))
    plus(IMG)
    assert not calls


def test_plain_clip_understands_the_sentences(seeded_official: Path, tmp_path: Path) -> None:
    content = torch.load(seeded_official, weights_only=True, mmap=True)
    clip = {k.removeprefix("clip_model."): v for k, v in content.items() if k.startswith("clip_")}
    torch.save(clip, tmp_path / "RN50.pt")
    metric = create(tmp_path / "RN50.pt")
    assert metric.prompts.shape == (7, 2, 1024)
    assert metric(IMG).shape == (2, 1)


def test_what_is_written_gives_the_same_scores(
    base: Path, seeded_plus: Path, rn50: QualiCLIP, tmp_path: Path
) -> None:
    """Each content and each format once: files of 400 MB; test_formats.py has all four pairs."""
    plus = create(seeded_plus)
    for source, metric, write in (
        (base, rn50, checkpoints.save),
        (seeded_plus, plus, checkpoints.save_pyiqa),
    ):
        write(build.to_checkpoint(metric, checkpoints.load(source)), tmp_path / "written")
        again = create(tmp_path / "written")
        assert again.signature == metric.signature
        torch.testing.assert_close(again(IMG), metric(IMG), atol=1e-6, rtol=0)


def test_the_signature_follows_the_weights(random_lite: Path) -> None:
    metric, other = create(random_lite), create(random_lite)
    metric.load_state_dict(other.state_dict())
    assert metric.signature == other.signature
    state = metric.state_dict()
    state["text.features"] = state["text.features"].flip(1)
    torch.nn.ModuleDict({"inside": metric}).load_state_dict(
        {f"inside.{key}": tensor for key, tensor in state.items()}
    )
    assert metric.signature is not None
    assert metric.signature.model == "custom"
    assert metric.signature.weights != other.signature.weights  # type: ignore[union-attr]


def test_the_signature_follows_the_settings(random_lite: Path) -> None:
    metric = create(random_lite)
    before = metric.signature
    assert before is not None
    metric.temperature, metric.scoring_size = 3.0, 64
    assert metric.signature == replace(before, temperature=3.0, size=64)
    with torch.no_grad():
        metric.logit_scale.mul_(2)
    assert metric.signature is not None
    assert metric.signature.model == "custom"
    with torch.no_grad():
        metric.logit_scale.div_(2)
    assert metric.signature == replace(before, temperature=3.0, size=64)


def test_weights_are_hashed_once_to_create_and_once_to_load(
    random_lite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    original = signature.digest

    def counting(state: Any) -> str:
        hashed.append(len(state))
        return original(state)

    for module in ("signature", "metric", "build"):
        monkeypatch.setattr(f"qualiclip_metric.{module}.digest", counting)
    metric = create(random_lite)
    assert str(metric.signature) == str(metric.signature)
    assert len(hashed) == 1
    metric.load_state_dict(metric.state_dict())
    assert str(metric.signature) == str(metric.signature)
    assert len(hashed) == 2


# --- modes of the caller -------------------------------------------------------------------------


@pytest.fixture(params=["inference_mode", torch.bfloat16, torch.float64], ids=str)
def mode(request: pytest.FixtureRequest) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """A mode of torch in which the caller may be."""
    if request.param == "inference_mode":
        yield torch.inference_mode
        return

    @contextmanager
    def default_dtype() -> Iterator[None]:
        torch.set_default_dtype(request.param)
        yield

    yield default_dtype
    torch.set_default_dtype(torch.float32)


def test_a_metric_does_not_depend_on_the_callers_mode(random_lite: Path, mode: Any) -> None:
    expected = create(random_lite)
    with mode():
        metric = create(random_lite)
        tensors = [*metric.parameters(), *metric.buffers()]
    assert not any(tensor.is_inference() for tensor in tensors)
    assert {t.dtype for t in tensors} <= {torch.float32, torch.int64}
    img = IMG.clone().requires_grad_()
    score = metric(img)
    score.sum().backward()
    assert img.grad is not None
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, expected(IMG), atol=1e-6, rtol=0)
    torch.testing.assert_close(metric(IMG), expected(IMG), atol=0, rtol=0)


FORK = """
import os, sys, torch
from qualiclip_metric import create
metrics = [create(sys.argv[1], engine=engine) for engine in sys.argv[2:]]
img = torch.rand(1, 3, 300, 400)
before = [metric(img).item() for metric in metrics]
child = os.fork()
if not child:
    for metric, score in zip(metrics, before):
        if abs(metric(img).item() - score) > 1e-5 or metric(img).item() <= 0:
            os._exit(3)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_a_process_that_has_scored_can_score(random_lite: Path) -> None:
    """Before, the child waited for threads of OpenMP that the fork had not copied."""
    engines = ["torch", *(["openvino"] if find_spec("openvino") else [])]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORK, str(random_lite), *engines],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        start_new_session=True,
    )
    try:
        assert process.wait(timeout=120) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# --- refusals ------------------------------------------------------------------------------------


def changed(path: Path, out: Path, **changes: Any) -> Path:
    checkpoints.save(replace(checkpoints.read(path), **changes), out)
    return out


def test_wrong_architectures_are_explained(random_lite: Path, tmp_path: Path) -> None:
    encoder = dict(checkpoints.read(random_lite).encoder)
    with pytest.raises(CheckpointError, match="vit"):
        create(changed(random_lite, tmp_path / "a", architecture="vit"))
    with pytest.raises(CheckpointError, match="rn50 encoder"):
        create(changed(random_lite, tmp_path / "b", architecture="rn50"))
    encoder["projection.bias"] = torch.zeros(5)
    path = changed(random_lite, tmp_path / "c", encoder=encoder)
    with pytest.raises(CheckpointError, match=rf"^{path}: .*projection\.bias"):
        create(path)


def test_the_table_knows_licence_and_temperature_of_published_weights(
    seeded_official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUALICLIP_WEIGHTS", raising=False)
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path))
    (tmp_path / "QualiCLIP.pth").symlink_to(seeded_official)
    checkpoint = checkpoints.load("qualiclip")
    assert (checkpoint.licence, checkpoint.temperature) == ("CC BY-NC 4.0", 2.0)
    assert str(create("qualiclip").signature).startswith("model:qualiclip|weights:")
