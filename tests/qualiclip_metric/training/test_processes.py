"""Two processes (gloo) compute what one with the doubled batch does, and go on from its state."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from qualiclip_metric import checkpoints
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.training import run_folder, train
from tests.photos import write_photos

from .two_processes import CONFIG, gradient_norms, halved, train_until_killed

pytestmark = pytest.mark.slow
TOLERANCE = 1e-2
"""Of weights, as a share of what training has moved them by; docs/lab/training.md states it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of one process, and those of two that the script beside this file makes."""
    folder = tmp_path_factory.mktemp("processes")
    photos = write_photos(folder / "photos", 7)
    for number, path in enumerate(photos):
        with tarfile.open(folder / f"{number // 4}.tar", "a") as tar:
            tar.add(path, path.name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = LiteEncoder().state_dict()
        prompts = torch.nn.functional.normalize(torch.randn(7, 2, 384), dim=-1)
    checkpoints.save(
        checkpoints.Checkpoint("lite", encoder, prompts, temperature=5.0),
        folder / "origin.safetensors",
    )
    train_until_killed(
        CONFIG, photos, folder / "from_one", pretrained=folder / "origin.safetensors"
    )
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += "--num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no".split()
    command += ["--main_process_port", "0", str(Path(__file__).with_name("two_processes.py"))]
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    done = subprocess.run(
        [*command, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def one(folder):
    """Losses and norms of gradients of one process with the doubled batch."""
    losses = []

    def report(given):
        if given.phase == "training":
            losses.append(dict(given.losses))

    photos = sorted((folder / "photos").iterdir())
    start = folder / "origin.safetensors"
    with gradient_norms() as norms:
        train(CONFIG, photos, folder / "one", pretrained=start, report=report)
    return {"losses": losses, "norms": norms}


def ranks(folder):
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def weights(run):
    path = run / "model.safetensors"
    return checkpoints.read(path if path.exists() else run.with_suffix(".safetensors")).encoder


def distance(run, other):
    """L2 norm of the difference of two models' weights."""
    ours, theirs = weights(run), weights(other)
    assert ours.keys() == theirs.keys()
    return sum(float((ours[k].double() - theirs[k].double()).square().sum()) for k in ours) ** 0.5


def apart(folder, run, other):
    """How far two runs' weights are apart, as a share of how far training has moved them.

    Not 0: sums over the batch have another order, and Adam divides small gradients by themselves.
    """
    return distance(folder / run, folder / other) / distance(folder / other, folder / "origin")


def test_both_processes_are_one_run(folder):
    first, second = ranks(folder)
    assert second["losses"] == []  # only the main process reports
    held = run_folder.read_validations(folder / "two")[0]["photos"]
    assert sorted(first["validated"] + second["validated"]) == list(range(held))
    assert first["validated"] and second["validated"]
    assert (folder / "stdout.txt").read_text().split() == [
        str(folder / "cut" / "model.safetensors")
    ]


def test_losses_validations_and_weights_are_those_of_the_doubled_batch(folder, one):
    first, second = ranks(folder)
    assert len(first["losses"]) == CONFIG.steps
    for ours, theirs in zip(first["losses"], one["losses"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert first["norms"] == second["norms"] == pytest.approx(one["norms"], rel=1e-2)
    logs = [run_folder.read_validations(folder / run) for run in ("two", "one")]
    assert [v["step"] for v in logs[0]] == [v["step"] for v in logs[1]] == [2, 4]
    for ours, theirs in zip(*logs, strict=True):
        assert ours["photos"] == theirs["photos"]
        assert ours["consistency_gap"] == pytest.approx(theirs["consistency_gap"], rel=1e-2)
    assert apart(folder, "two", "one") < TOLERANCE


def test_resuming_from_shards_of_the_photos_is_exact(folder):
    assert distance(folder / "cut", folder / "two") == 0
    logs = [(folder / run / "validation.jsonl").read_text() for run in ("two", "cut")]
    assert logs[0] == logs[1]


def test_one_process_goes_on_from_two_and_two_from_one(folder, one):
    photos = sorted((folder / "photos").iterdir())
    start = {"pretrained": folder / "origin.safetensors", "resume": True}
    assert run_folder.load_state(folder / "from_two")["step"] == 2
    with pytest.raises(ValueError, match="now 2"):
        train(halved(CONFIG), photos, folder / "from_two", **start)
    train(CONFIG, photos, folder / "from_two", **start)
    assert apart(folder, "from_one", "one") < TOLERANCE
    assert apart(folder, "from_two", "one") < TOLERANCE
    assert run_folder.load_state(folder / "from_two")["step"] == CONFIG.steps
