"""One training run: its model, its state on disk, and the best model so far."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qualiclip_metric import checkpoints
from qualiclip_metric.build import to_checkpoint
from qualiclip_metric.checkpoints import Checkpoint
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training import run_folder
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.validation import Validation

PER_PROCESS = "batch_size"
"""Setting that counts for each process; a run stays the same as long as its sum over processes."""
MAY_CHANGE = ("checkpoint_every", "workers")
"""Settings that a resumed run may change, because no result depends on them."""


def stored_settings(folder: Path, processes: int = 1) -> dict[str, Any]:
    """Read the settings of a run to resume, with the batch size for a number of processes."""
    settings = dict(run_folder.load_state(folder)["config"])
    total = settings.get(PER_PROCESS, processes)
    if total % processes:
        raise ValueError(f"--resume: a batch of {total} cannot be divided by {processes} processes")
    return settings | {PER_PROCESS: total // processes}


@dataclass
class Run:
    """State of a run: the model that learns, and its settings and sources.

    `sources` holds numbers and digests of photos and of the origin checkpoint. `fresh`: this run
    has not written to the folder yet (an earlier run may have).
    """

    config: TrainConfig
    folder: Path
    origin: Checkpoint
    metric: QualiCLIP
    optimizer: torch.optim.Optimizer
    sources: dict[str, Any]
    processes: int = 1
    fresh: bool = False

    def save(self, step: int) -> None:
        """Write the resumable state after a number of steps."""
        self._drop_earlier_run()
        state = {
            "step": step,
            "config": self._settings(),
            "data": self.sources,
            "encoder": self.metric.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        run_folder.save_state(self.folder / run_folder.STATE, state)

    def resume(self) -> int:
        """Load the state in the folder; return the number of steps done.

        Raises ValueError when the state is of other settings (but `MAY_CHANGE`) or photos.
        """
        state = run_folder.load_state(self.folder)
        then, now = state["config"], self._settings()
        if changed := [k for k, v in now.items() if k not in MAY_CHANGE and then.get(k) != v]:
            values = "; ".join(f"{k}: then {then.get(k)!r}, now {now[k]!r}" for k in changed)
            raise ValueError(
                f"--resume: {self.folder} was begun with other settings: {values} (batch_size over "
                "all processes); leave them out to take the stored ones"
            )
        if state["data"] != self.sources:
            raise ValueError(
                f"--resume: {self.folder} was begun with other photos, or from another model: "
                f"then {state['data']}, now {self.sources}; give the same --images and "
                "--pretrained, or another --out without --resume"
            )
        self.metric.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def keep_if_best(self, step: int, validation: Validation) -> None:
        """Log the validation of a step; write the model unless an earlier one had a higher mean."""
        self._drop_earlier_run()
        earlier = [v["mean"] for v in run_folder.read_validations(self.folder) if v["step"] < step]
        run_folder.log_validation(self.folder, step, validation.to_dict())
        if earlier and validation.mean < max(earlier):
            return
        training = {
            "step": step,
            "config": self.config.to_dict(),
            "data": self.sources,
            "validation": validation.to_dict(),
        }
        model = dataclasses.replace(
            to_checkpoint(self.metric, self.origin),
            logit_scale=self.config.logit_scale,
            temperature=self.config.temperature,
            training=training,
        )
        checkpoints.save(model, self.folder / run_folder.MODEL)

    def _drop_earlier_run(self) -> None:
        """Delete the validations of another run: comparing with them would pick a wrong best."""
        if self.fresh:
            (self.folder / run_folder.LOG).unlink(missing_ok=True)
            self.fresh = False

    def _settings(self) -> dict[str, Any]:
        """Settings, with the batch size over all processes."""
        values = self.config.to_dict()
        return values | {PER_PROCESS: values[PER_PROCESS] * self.processes}
