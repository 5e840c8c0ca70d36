"""The training loop of the ranking objective, top to bottom."""

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qualiclip_metric.extras import require
from qualiclip_metric.images import ImageError
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training import losses, run_folder
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import Ladders, draw_numbers, ladder_batches
from qualiclip_metric.training.digests import read_split
from qualiclip_metric.training.photos import Photo, read
from qualiclip_metric.training.report import Notify, Report, ignore
from qualiclip_metric.training.run import Run
from qualiclip_metric.training.start import initial_checkpoint, parameter_groups, trainable
from qualiclip_metric.training.validation import Validation, score_photos, summarise

if TYPE_CHECKING:
    from accelerate import Accelerator

MAX_VALIDATION_PHOTOS = 32
CHECKPOINT_SECONDS = 120.0
"""Longest time between two resumable checkpoints, however slow the steps are."""
LONGEST_WAIT = timedelta(hours=6)
"""How long processes wait for the one that hashes the photos; the default is 10 minutes."""


def train(
    config: TrainConfig,
    photos: Sequence[str | Photo],
    out: str | Path,
    *,
    pretrained: str | Path | None = None,
    resume: bool = False,
    report: Notify | None = None,
) -> Path:
    """Fine-tune an image encoder by ranking degraded crops of pristine photos.

    Args:
        config: Settings; kept in the checkpoint.
        photos: Pristine photos: paths, or members of shards from `find_photos`. A share of them is
            held out for validation.
        out: Folder for `model.safetensors` (the best by validation), `state.pt` (to resume),
            `validation.jsonl`, `digests.json` and the TensorBoard log.
        pretrained: Checkpoint to start from; see `initial_checkpoint`.
        resume: Continue from `out`'s `state.pt`; on the same machine the result equals that of an
            uninterrupted run to the bit.
        report: Called in the main process: while photos are hashed, during a validation, and after
            every step.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When photos or config are wrong, the state is of another config or data, or
            another training writes to `out`.
        WeightsError: When published weights to start from are not available.
        FloatingPointError: When a loss or a score of a validation is not finite; the message names
            the step.
    """
    accelerator = _accelerator()
    main = accelerator.is_main_process
    notify = report if report is not None and main else ignore
    with run_folder.own_folder(out, main=main) as folder:
        origin = initial_checkpoint(config, pretrained)
        with accelerator.main_process_first():  # the others then find the digests in the cache
            split = read_split(photos, config.validate_share, folder, notify)
        held = (split.held or split.learn)[:MAX_VALIDATION_PHOTOS]
        _check_readable(held)
        metric = trainable(origin, config).to(memory_format=torch.channels_last)
        metric.to(accelerator.device)
        optimizer = torch.optim.AdamW(parameter_groups(metric.encoder, config))
        sources = {**split.sources, "start": origin.digest()}
        processes = accelerator.num_processes
        run = Run(config, folder, origin, metric, optimizer, sources, processes, fresh=not resume)
        done = run.resume() if resume else 0
        if main and not (folder / run_folder.STATE).exists():
            run.save(done)  # so that a run that is stopped in its first steps can be resumed
        numbers = draw_numbers(
            range(done, config.steps), config.batch_size, accelerator.process_index, processes
        )
        batches = ladder_batches(split.learn, config, numbers, accelerator.device)
        _Loop(run, accelerator, held, notify).steps(batches, done)
        return folder / run_folder.MODEL


class _Loop:
    """The steps of a run, with its validations and checkpoints."""

    def __init__(
        self, run: Run, accelerator: "Accelerator", held: Sequence[Photo], notify: Notify
    ) -> None:
        self.run, self.config, self.accelerator = run, run.config, accelerator
        self.held, self.notify = held, notify
        self.model, self.optimizer = accelerator.prepare(_Similarities(run.metric), run.optimizer)

    def steps(self, batches: Iterable[Ladders], step: int) -> None:
        """Train to the end; `step` steps are done already."""
        config, main = self.config, self.accelerator.is_main_process
        saved = time.monotonic()
        with _summary_writer(self.run.folder / "tensorboard" if main else None) as log:
            began = time.perf_counter()
            for crops in batches:
                values, rate, norm = self._step(crops, step)
                step += 1
                # a step reads its loss from the device, so the device's queue is empty here
                seconds = time.perf_counter() - began
                last = step == config.steps
                due = last or step % config.validate_every == 0
                validation = self._validate(step) if due else None
                due = last or step % config.checkpoint_every == 0
                if main and (due or time.monotonic() - saved > CHECKPOINT_SECONDS):
                    self.run.save(step)
                    saved = time.monotonic()
                count = crops.shape[:3].numel() * self.accelerator.num_processes
                report = Report(
                    "training", step, config.steps, values, rate, norm, count / seconds, validation
                )
                if log is not None:
                    for name, value in report.scalars().items():
                        log.add_scalar(name, value, step)
                self.notify(report)
                self.accelerator.wait_for_everyone()
                began = time.perf_counter()

    def _step(self, crops: Ladders, step: int) -> tuple[dict[str, float], float, float]:
        """Take one step of the optimiser; return losses, learning rate and gradient norm."""
        config, accelerator = self.config, self.accelerator
        rate = set_learning_rate(self.optimizer, step, config)
        device, bf16 = accelerator.device, config.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            flat = self.model(crops.to(device).flatten(0, 2))  # (photos * 2 * levels, pairs, 2)
        similarity = _gather(flat.unflatten(0, crops.shape[:3]), accelerator)
        found = losses.ranking_losses(similarity, config)
        total = torch.stack(list(found.values())).sum()
        values = {k: float(v.detach()) for k, v in {"total": total, **found}.items()}
        if not total.isfinite():
            raise self._diverged(step, f"the loss is {values.pop('total')} ({values})")
        self.optimizer.zero_grad()
        # Each process holds its part of the gradient of the whole batch's loss. The parts have to
        # be added, but DistributedDataParallel averages them.
        accelerator.backward(total * accelerator.num_processes)
        # clipping at infinity multiplies by exactly 1 and returns the norm
        learning = [p for p in self.run.metric.parameters() if p.requires_grad]
        norm = accelerator.clip_grad_norm_(learning, config.clip_norm or math.inf)
        self.optimizer.step()
        return values, rate, float(norm)

    def _validate(self, step: int) -> Validation:
        """Validate, each process a share of the photos; the main one keeps the best model."""
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
        if not all(s.isfinite().all() for _, scores in gathered for s in scores.values()):
            raise self._diverged(step, "a score of the validation is not finite")
        validation = summarise(gathered, total, self.config.exclude)
        if self.accelerator.is_main_process:
            self.run.keep_if_best(step, validation)
        return validation

    def _diverged(self, step: int, found: str) -> FloatingPointError:
        return FloatingPointError(
            f"step {step}: {found}; lower the learning rate, or use precision = 'fp32'; the last "
            f"good state is in {self.run.folder / run_folder.STATE}"
        )


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainConfig) -> float:
    """Set the groups' rates from their `peak_lr`; return the largest.

    Linear warm-up, then half a cosine to 0 at the last step: a function of the step (from 0) alone,
    so that no state of it has to be saved.
    """
    rise = max(1, round(config.warmup * config.steps)) if config.warmup else 0
    if step < rise:
        factor = (step + 1) / rise
    else:
        # over the steps after the warm-up, of which the last has number steps - 1
        done = (step - rise) / max(1, config.steps - 1 - rise)
        factor = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return float(max(group["lr"] for group in optimizer.param_groups))


class _Similarities(nn.Module):
    """`QualiCLIP.similarities` as a forward, which DistributedDataParallel can wrap."""

    def __init__(self, metric: QualiCLIP) -> None:
        super().__init__()
        self.metric = metric

    def forward(self, crops: Tensor) -> Tensor:
        return self.metric.similarities(crops)


def _gather(own: Tensor, accelerator: "Accelerator") -> Tensor:
    """Join the batches of all processes; only this process's part carries a gradient."""
    if accelerator.num_processes == 1:
        return own
    parts = list(accelerator.gather(own.detach().contiguous()).split(len(own)))
    parts[accelerator.process_index] = own
    return torch.cat(parts)


def _check_readable(held: Sequence[Photo]) -> None:
    """Raise ValueError, before hours of steps, when no validation photo can be read."""
    for photo in held:
        try:
            read(photo)
        except ImageError:
            continue
        return
    if held:
        raise ValueError(
            f"validation: none of the {len(held)} photos that it takes can be read, such as "
            f"{held[0]}; repair them or leave them out of --images"
        )


def _accelerator() -> "Accelerator":
    accelerate = require("accelerate", "train", "training")
    waiting = accelerate.InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    # for devices and processes only; the loop does its own autocast
    accelerator: Accelerator = accelerate.Accelerator(kwargs_handlers=[waiting])
    return accelerator


def _summary_writer(folder: Path | None) -> AbstractContextManager[Any]:
    """TensorBoard's writer; None without a folder, as in all processes but the main one."""
    if folder is None:
        return nullcontext()
    tensorboard = require("torch.utils.tensorboard", "train", "the training log")
    return closing(tensorboard.SummaryWriter(folder))
