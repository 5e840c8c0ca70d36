"""The training loop, top to bottom."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.images import ImageError
from qualiclip_metric.metric import QualiCLIP, cosine
from qualiclip_metric.training import checkpoint as files
from qualiclip_metric.training import objective
from qualiclip_metric.training.batches import training_batches
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import LadderBatch
from qualiclip_metric.training.digests import combined_digest, digest_photos, split
from qualiclip_metric.training.features import FeatureBatch
from qualiclip_metric.training.photos import Photo, read, to_photo
from qualiclip_metric.training.run import Run
from qualiclip_metric.training.schedule import set_learning_rate
from qualiclip_metric.training.start import (
    initial_checkpoint,
    parameter_groups,
    trainable,
    trainable_parameters,
)
from qualiclip_metric.training.stopwatch import Stopwatch
from qualiclip_metric.training.tensorboard_log import TensorboardLog
from qualiclip_metric.training.validation import Validation, score_photos, summarise

if TYPE_CHECKING:
    from accelerate import Accelerator

MAX_VALIDATION_PHOTOS = 32
CHECKPOINT_SECONDS = 120.0
"""Longest time between two resumable checkpoints, however few steps it holds."""
LONGEST_WAIT = timedelta(hours=6)
"""How long processes wait for one that reads photos or computes features."""


@dataclass(frozen=True)
class Report:
    """How far a run is.

    Attributes:
        phase: ``photos`` while photos are read and hashed, ``features`` while the features of a
            frozen trunk are computed, ``training``, or ``validation``.
        step: Photos, draws, steps or photos done.
        total: Of how many.
        losses: The weighted losses of a training step, and their ``total``.
        crops_per_second: Of all processes together; 0 where it is not measured.
        validation: After a training step that was validated.
        seconds: Where a training step's time went: ``data`` (waiting for the batch), ``forward``
            (with the losses), ``backward``, ``optimizer``.
    """

    phase: str
    step: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)
    crops_per_second: float = 0.0
    validation: Validation | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def train(
    config: TrainConfig,
    photos: Sequence[str | Photo],
    out: str | Path,
    *,
    pretrained: str | Path | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> Path:
    """Fine-tune an image encoder by ranking degraded crops of pristine photos.

    Args:
        config: Settings; kept in the checkpoint.
        photos: Pristine photos: paths, or what `find_photos` gives of tar shards, too. A share of
            them is held out for validation.
        out: Folder for `model.safetensors` (the best by validation), `state.pt` (to resume),
            `validation.jsonl`, `digests.json` and the tensorboard log.
        pretrained: Checkpoint to start from; see `initial_checkpoint`.
        resume: Go on from `out`'s `state.pt`: the same machine then computes what an uninterrupted
            run would have.
        report: Called in the main process: while photos are read, while features or a validation
            are computed, and after every step.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When photos or config are off, the state is of another config or data, or
            another training writes to `out`.
        WeightsError: When published weights to start from cannot be had.
        FloatingPointError: When a loss or a score of a validation is not finite; the message names
            the step.
    """
    accelerator = _accelerator()
    notify = report if report is not None and accelerator.is_main_process else _no_report
    with files.own_folder(out, main=accelerator.is_main_process) as folder:
        origin = initial_checkpoint(config, pretrained)
        learn, held, sources = _read_photos(photos, config, folder, accelerator, notify)
        sources["start"] = origin.digest()
        metric = trainable(origin, config).to(memory_format=torch.channels_last)
        metric.to(accelerator.device)
        optimizer = torch.optim.AdamW(parameter_groups(metric.encoder, config))
        run = Run(
            config, folder, origin, metric, optimizer, sources, accelerator.num_processes,
            fresh=not resume,
        )  # fmt: skip
        step = run.resume() if resume else 0
        if accelerator.is_main_process and not (folder / files.STATE).exists():
            run.save(step)  # so that a run that is stopped at any moment can be resumed
        batches = training_batches(
            metric.encoder,
            learn,
            config,
            step,
            accelerator,
            folder / "features",
            sources,
            lambda done, rate: notify(
                Report("features", done, config.draws, crops_per_second=rate)
            ),
        )
        _Loop(run, accelerator, held or learn, notify).steps(batches, step)
        return folder / files.MODEL


class _Loop:
    """The steps of a run, with its validations and checkpoints.

    Args:
        run: What learns.
        accelerator: Devices and processes.
        held: Photos to validate on.
        notify: Told after every step.
    """

    def __init__(
        self,
        run: Run,
        accelerator: "Accelerator",
        held: Sequence[Photo],
        notify: Callable[[Report], None],
    ) -> None:
        self.run, self.config, self.accelerator = run, run.config, accelerator
        self.held, self.notify = held[:MAX_VALIDATION_PHOTOS], notify
        self.model, self.optimizer = accelerator.prepare(_Similarities(run.metric), run.optimizer)
        self.watch = Stopwatch(accelerator.device)
        self.saved = time.monotonic()

    def steps(self, batches: Iterable[LadderBatch | FeatureBatch], step: int) -> None:
        """Train to the end.

        Args:
            batches: One for each step that is left.
            step: Steps done before.
        """
        main = self.accelerator.is_main_process
        with TensorboardLog(self.run.folder / "tensorboard" if main else None) as log:
            self.watch.start()
            for batch in batches:
                self.watch.lap("data")
                losses, crops = self._step(batch, step)
                step += 1
                seconds = self.watch.take()
                last = step == self.config.steps
                validation = None
                if last or step % self.config.validate_every == 0:
                    validation = self._validate(step)
                if main:
                    self._save_if_due(step, last)
                log.write(step, losses, validation)
                rate = crops * self.accelerator.num_processes / sum(seconds.values())
                self.notify(
                    Report("training", step, self.config.steps, losses, rate, validation, seconds)
                )
                self.accelerator.wait_for_everyone()
                self.watch.start()

    def _step(self, batch: LadderBatch | FeatureBatch, step: int) -> tuple[dict[str, float], int]:
        """One step of the optimiser; the losses, and the number of crops of this process."""
        config, accelerator = self.config, self.accelerator
        set_learning_rate(self.optimizer, step, config)
        inputs = batch.crops if isinstance(batch, LadderBatch) else batch.pooled
        device, bf16 = accelerator.device, config.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            flat = self.model(inputs.to(device).flatten(0, 2))  # (crops, pairs, 2)
        similarity = _of_all_processes(flat.unflatten(0, inputs.shape[:3]), accelerator)
        reference = batch.reference
        if reference is not None:
            reference = _of_all_processes(reference.to(device), accelerator)
        losses = objective.ranking_losses(similarity, reference, config)
        total = torch.stack(list(losses.values())).sum()
        values = {k: float(v.detach()) for k, v in {"total": total, **losses}.items()}
        if not total.isfinite():
            raise FloatingPointError(
                f"step {step}: the loss is {values.pop('total')} ({values}); {self._cure()}"
            )
        self.optimizer.zero_grad()
        self.watch.lap("forward")
        # Each process has its part of the gradient of the whole batch's loss: they are to be
        # added, and DistributedDataParallel averages.
        accelerator.backward(total * accelerator.num_processes)
        self.watch.lap("backward")
        if config.clip_norm:
            accelerator.clip_grad_norm_(
                list(trainable_parameters(self.run.metric)), config.clip_norm
            )
        self.optimizer.step()
        self.watch.lap("optimizer")
        return values, inputs.shape[:3].numel()

    def _validate(self, step: int) -> Validation:
        """Validate, each process its share of the photos; the main one keeps the best model."""
        from accelerate.utils import gather_object

        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        total = len(self.held)

        def progress(done: int) -> None:
            self.notify(Report("validation", min(total, done * world), total))

        scored = score_photos(
            self.run.metric,
            list(enumerate(self.held))[rank::world],
            crop_size=self.config.crop_size,
            seed=self.config.seed,
            progress=progress,
        )
        gathered = gather_object(scored)
        if not all(photo.is_finite() for photo in gathered):
            raise FloatingPointError(
                f"step {step}: a score of the validation is not finite; {self._cure()}"
            )
        validation = summarise(gathered, total, self.config.exclude)
        if self.accelerator.is_main_process:
            self.run.keep_if_best(step, validation)
        return validation

    def _cure(self) -> str:
        return (
            "lower the learning rate, or use precision = 'fp32'; the last good state is in "
            f"{self.run.folder / files.STATE}"
        )

    def _save_if_due(self, step: int, last: bool) -> None:
        waited = time.monotonic() - self.saved
        if last or step % self.config.checkpoint_every == 0 or waited > CHECKPOINT_SECONDS:
            self.run.save(step)
            self.saved = time.monotonic()


class _Similarities(nn.Module):
    """Similarities as a forward, so that a wrapper for several devices fits around it.

    Takes crops (N, 3, c, c), or the pooled features (N, C) of a trunk that does not learn.
    """

    def __init__(self, metric: QualiCLIP) -> None:
        super().__init__()
        self.metric = metric

    def forward(self, inputs: Tensor) -> Tensor:
        encoder = self.metric.encoder
        if inputs.ndim == 2 and isinstance(encoder, LiteEncoder):
            return cosine(encoder.project(inputs), self.metric.prompts)
        return self.metric.similarities(inputs)


def _of_all_processes(own: Tensor, accelerator: "Accelerator") -> Tensor:
    """The batches of all processes as one; only this process's part carries a gradient."""
    if accelerator.num_processes == 1:
        return own
    parts = list(accelerator.gather(own.detach().contiguous()).split(len(own)))
    parts[accelerator.process_index] = own
    return torch.cat(parts)


def _read_photos(
    photos: Sequence[str | Photo],
    config: TrainConfig,
    folder: Path,
    accelerator: "Accelerator",
    notify: Callable[[Report], None],
) -> tuple[list[Photo], list[Photo], dict[str, Any]]:
    """Photos to train on, photos held out, and their numbers and digest."""
    paths = [to_photo(photo) for photo in photos]
    with accelerator.main_process_first():  # the others then find the digests in the cache
        digests = digest_photos(
            paths,
            folder / "digests.json",
            lambda done: notify(Report("photos", done, len(paths))),
        )
    learn, held = split(digests, config.validate_share)
    chosen = (held or learn)[:MAX_VALIDATION_PHOTOS]
    if chosen and not any(_is_readable(path) for path in chosen):
        raise ValueError(
            f"validation: none of the {len(chosen)} photos that it takes can be read, such as "
            f"{chosen[0]}; repair them or leave them out of --images"
        )
    digest = combined_digest(digests[path] for path in learn)
    return learn, held, {"photos": len(learn), "digest": digest, "held_out": len(held)}


def _is_readable(photo: Photo) -> bool:
    try:
        read(photo)
    except ImageError:
        return False
    return True


def _accelerator() -> "Accelerator":
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs
    except ImportError as err:
        raise ImportError(
            "training needs accelerate: pip install 'qualiclip-metric[train]'"
        ) from err
    # devices and processes; precision is the loop's own autocast
    return Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)])


def _no_report(_report: Report) -> None:
    """Take reports where none are wanted, or where another process gives them."""
