"""Launched by test_processes.py in two processes: `python THIS FOLDER`.

The folder holds photos, the same in tar shards, origin.safetensors, and in from_one a run that one
process began.
"""

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator, PartialState

from qualiclip_metric.cli import app
from qualiclip_metric.training import TrainConfig, loop, train

KILLED_AT = 3
CONFIG = TrainConfig(
    steps=4,
    batch_size=4,
    crop_size=64,
    learning_rate=1e-3,
    trunk_learning_rate=1e-4,
    reduction="mean",
    temperature=5.0,
    workers=0,
    validate_share=0.4,
    validate_every=2,
    checkpoint_every=2,
    precision="fp32",
    clip_norm=0.5,
)
"""For one process; two get half the batch each."""


class Killed(Exception):
    """Stands for a kill: nothing in the package catches it."""


def halved(config):
    return replace(config, batch_size=config.batch_size // 2)


def train_until_killed(config, photos, out, **options):
    """A run that ends before step KILLED_AT + 1, in all processes alike."""
    original = loop.set_learning_rate

    def kill(optimizer, step, config):
        if step == KILLED_AT:
            raise Killed
        return original(optimizer, step, config)

    loop.set_learning_rate = kill
    try:
        train(config, photos, out, **options)
    except Killed:
        return
    finally:
        loop.set_learning_rate = original
    raise AssertionError("the run was not killed")


@contextmanager
def gradient_norms():
    """The norms of the gradients that the optimiser gets within the block, before clipping."""
    norms, original = [], Accelerator.clip_grad_norm_

    def record(self, *arguments):
        norm = original(self, *arguments)
        norms.append(float(norm))
        return norm

    Accelerator.clip_grad_norm_ = record
    yield norms
    Accelerator.clip_grad_norm_ = original


def main(folder):
    photos = sorted((folder / "photos").iterdir())
    start = {"pretrained": folder / "origin.safetensors"}
    config = halved(CONFIG)
    losses, validated = [], []
    original = loop.score_photos

    def count(metric, numbered, **options):
        validated.append([number for number, _ in numbered])
        return original(metric, numbered, **options)

    loop.score_photos = count

    def report(given):
        if given.phase == "training":
            losses.append(dict(given.losses))

    with gradient_norms() as norms:
        train(config, photos, folder / "two", report=report, **start)
    state = PartialState()  # the one that training has made
    train_until_killed(config, photos, folder / "cut", **start)
    if state.is_main_process:
        shutil.copytree(folder / "cut", folder / "from_two")
    state.wait_for_everyone()
    train(config, photos, folder / "from_one", resume=True, **start)
    words = ["train", "--images", folder / "*.tar", "--pretrained", start["pretrained"]]
    words += ["--out", folder / "cut", "--resume"]
    app(list(map(str, words)), standalone_mode=False)
    found = {"losses": losses, "norms": norms, "validated": validated[0]}
    (folder / f"rank{state.process_index}.json").write_text(json.dumps(found))
    state.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
