"""The training loop, top to bottom. Knows neither the command line nor any distortion by name."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qualiclip_metric import formats
from qualiclip_metric.build import to_checkpoint
from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.formats import Checkpoint
from qualiclip_metric.metric import QualiCLIP, cosine
from qualiclip_metric.training import checkpoint as files
from qualiclip_metric.training import data
from qualiclip_metric.training.batches import batches
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.data import Ladders
from qualiclip_metric.training.losses import anchor_loss, consistency_loss, ranking_loss
from qualiclip_metric.training.start import learned, parameter_groups, start, trainable
from qualiclip_metric.training.stopwatch import Stopwatch
from qualiclip_metric.training.validation import Validation, validate

if TYPE_CHECKING:
    from accelerate import Accelerator

MAX_VALIDATION_PHOTOS = 32


@dataclass(frozen=True)
class Report:
    """What the loop tells after each step.

    `phase` is ``training``, or ``features`` while the table of a frozen trunk is computed; `step`
    counts steps or draws, of `total`. `seconds` says where the step's time went: ``data`` (waiting
    for the batch), ``forward`` (with the losses), ``backward``, ``optimizer``.
    """

    phase: str
    step: int
    total: int
    losses: dict[str, float]
    crops_per_second: float
    validation: Validation | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def train(
    config: TrainConfig,
    photos: Sequence[str | Path],
    out: str | Path,
    *,
    pretrained: str | Path | None = None,
    resume: bool = False,
    report: Callable[[Report], None] | None = None,
) -> Path:
    """Fine-tune an image encoder by ranking degraded crops of pristine photos.

    Args:
        config: Settings; kept in the checkpoint.
        photos: Pristine photos. A share of them is held out for validation.
        out: Folder for `model.safetensors` (the best by validation), `state.pt` (to resume),
            `validation.jsonl` and the tensorboard log.
        pretrained: Checkpoint to start from; see `start`.
        resume: Go on from `out`'s `state.pt`: the same machine then computes what an uninterrupted
            run would have.
        report: Called after every step.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When photos or config are off, or the state is of another config or data.
        FloatingPointError: When a loss is not finite; the message names the step and the photos.
    """
    accelerator = _accelerator()
    tell = report if report is not None and accelerator.is_main_process else _silent
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    learn, held = data.split([Path(p) for p in photos], config.validate_share)
    origin = start(config, pretrained)
    metric = trainable(origin, config).to(memory_format=torch.channels_last)
    metric.to(accelerator.device)
    optimizer = torch.optim.AdamW(parameter_groups(metric.encoder, config))
    sources = {
        "photos": len(learn),
        "digest": data.digest(learn),
        "held_out": len(held),
        "start": origin.digest(),
    }
    step = _resume(folder, config, sources, metric, optimizer) if resume else 0
    source = batches(
        metric.encoder,
        learn,
        config,
        step,
        accelerator,
        folder / "features",
        sources,
        lambda done, rate: tell(Report("features", done, config.draws, {}, rate)),
    )
    model, optimizer = accelerator.prepare(_Similarities(metric), optimizer)
    log = _tensorboard(folder) if accelerator.is_main_process else None

    watch = Stopwatch(accelerator.device)
    for batch in source:
        watch.lap("data")
        set_learning_rate(optimizer, step, config)
        inputs = batch.crops if isinstance(batch, Ladders) else batch.pooled
        with torch.autocast(
            accelerator.device.type, torch.bfloat16, enabled=config.precision == "bf16"
        ):
            flat = model(inputs.to(accelerator.device).flatten(0, 2))  # (crops, pairs, 2)
        losses = ranking_losses(flat.unflatten(0, inputs.shape[:3]), batch.reference, config)
        total = torch.stack(list(losses.values())).sum()
        if not total.isfinite():
            raise FloatingPointError(
                f"step {step}: the loss is {total.item()} ({_floats(losses)}); lower the learning "
                f"rate, or use precision = 'fp32'; the last good state is in {folder / files.STATE}"
            )
        optimizer.zero_grad()
        watch.lap("forward")
        accelerator.backward(total)
        watch.lap("backward")
        if config.clip_norm:
            accelerator.clip_grad_norm_(list(learned(metric)), config.clip_norm)
        optimizer.step()
        watch.lap("optimizer")
        step += 1

        last, validation = step == config.steps, None
        if accelerator.is_main_process:
            if last or step % config.validate_every == 0:
                validation = _validate(metric, held or learn, config)
                _keep_if_best(folder, step, validation, metric, origin, config, sources)
            if last or step % config.checkpoint_every == 0:
                files.save_state(folder, _state(step, config, sources, metric, optimizer))
        spent = watch.take()
        told = {"total": float(total.detach()), **_floats(losses)}
        _write(log, step, told, validation)
        rate = inputs.shape[:3].numel() * accelerator.num_processes / sum(spent.values())
        tell(Report("training", step, config.steps, told, rate, validation, spent))
        accelerator.wait_for_everyone()
        watch.start()
    if log is not None:
        log.close()
    return folder / files.MODEL


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


def ranking_losses(
    similarity: Tensor, reference: Tensor | None, config: TrainConfig
) -> dict[str, Tensor]:
    """The weighted losses of a batch.

    Args:
        similarity: Cosines, (photos, 2 crops, levels, pairs, 2), positive prompt first.
        reference: Full-reference quality of the first crops, (photos, levels), for the anchor.
        config: Margins and weights.

    Returns:
        Scalars by name; their sum is what is minimised.
    """
    positive, negative = similarity[..., 0], -similarity[..., 1]
    options = (config.margin_rank, config.reduction, config.cross_crop)
    both = (positive, negative)
    consistency = [consistency_loss(s, config.margin_consistency, config.reduction) for s in both]
    losses = {
        "consistency": config.weight_consistency * torch.stack(consistency).sum(),
        "positive": config.weight_positive * ranking_loss(positive, *options),
        "negative": config.weight_negative * ranking_loss(negative, *options),
    }
    if reference is not None:
        flat = reference.flatten().to(similarity.device)
        anchor = [
            anchor_loss(s[:, 0].flatten(0, 1), flat, config.margin_anchor, config.gap_anchor)
            for s in both
        ]
        losses["anchor"] = config.weight_anchor * torch.stack(anchor).sum()
    return losses


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainConfig) -> None:
    """Linear warm-up, then half a cosine down to 0: a function of the step alone."""
    rise = max(1, round(config.warmup * config.steps))
    if config.warmup and step < rise:
        factor = (step + 1) / rise
    else:
        done = (step - rise * bool(config.warmup)) / max(1, config.steps)
        factor = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def _accelerator() -> "Accelerator":
    try:
        from accelerate import Accelerator
    except ImportError as err:
        raise ImportError(
            "training needs accelerate: pip install 'qualiclip-metric[train]'"
        ) from err
    return Accelerator()  # devices and processes; precision is the loop's own autocast


def _validate(metric: QualiCLIP, held: Sequence[Path], config: TrainConfig) -> Validation:
    return validate(
        metric,
        held[:MAX_VALIDATION_PHOTOS],
        crop_size=config.crop_size,
        seed=config.seed,
        unseen=config.exclude,
    )


def _keep_if_best(
    folder: Path,
    step: int,
    validation: Validation,
    metric: QualiCLIP,
    origin: Checkpoint,
    config: TrainConfig,
    sources: dict[str, Any],
) -> None:
    """Log a validation, and write the model if none before it ordered more pairs right."""
    earlier = [v["mean"] for v in files.read_validations(folder) if v["step"] < step]
    files.log_validation(folder, step, validation.to_dict())
    if earlier and validation.mean < max(earlier):
        return
    training = {
        "step": step,
        "config": config.to_dict(),
        "data": sources,
        "validation": validation.to_dict(),
    }
    model = dataclasses.replace(
        to_checkpoint(metric, origin),
        logit_scale=config.logit_scale,
        temperature=config.temperature,
        training=training,
    )
    formats.save(model, folder / files.MODEL)


def _state(
    step: int,
    config: TrainConfig,
    sources: dict[str, Any],
    metric: QualiCLIP,
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    return {
        "step": step,
        "config": config.to_dict(),
        "data": sources,
        "encoder": metric.encoder.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def _resume(
    folder: Path,
    config: TrainConfig,
    sources: dict[str, Any],
    metric: QualiCLIP,
    optimizer: torch.optim.Optimizer,
) -> int:
    state = files.load_state(folder)
    changed = [k for k, v in config.to_dict().items() if state["config"].get(k) != v]
    if changed:
        raise ValueError(f"--resume: {folder} was begun with other settings for {changed}")
    if state["data"] != sources:
        raise ValueError(f"--resume: {folder} was begun with other photos ({state['data']})")
    metric.encoder.load_state_dict(state["encoder"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _silent(_report: Report) -> None:
    """Nobody asked, or another process tells."""


def _floats(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in losses.items()}


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as err:
        raise ImportError(
            "the training log needs tensorboard: pip install 'qualiclip-metric[train]'"
        ) from err
    return SummaryWriter(folder / "tensorboard")


def _write(log: Any, step: int, losses: dict[str, float], validation: Validation | None) -> None:
    if log is None:
        return
    for name, value in losses.items():
        log.add_scalar(f"loss/{name}", value, step)
    if validation is not None:
        log.add_scalar("validation/mean", validation.mean, step)
        log.add_scalar("validation/consistency_gap", validation.consistency_gap, step)
        for name, value in validation.ordered.items():
            log.add_scalar(f"ordered/{name}", value, step)
