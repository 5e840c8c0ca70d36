"""QualiCLIP+: prompt contexts fitted to opinions, the only training here that uses a MOS.

The image encoder stays QualiCLIP's; only the context tokens around the words of the antonym prompts
learn (as in the published QualiCLIP+ checkpoints and pyiqa's option files: Adam, MSE and PLCC
loss, crops of 384). The model is opinion-aware.
"""

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric import checkpoints
from qualiclip_metric.build import from_checkpoint, to_checkpoint
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.training import data, run_folder
from qualiclip_metric.training.config import Settings, within
from qualiclip_metric.training.photos import read
from qualiclip_metric.training.report import Notify, Report

_ORDER, _CONTEXT, _CROP = 30, 31, 32  # purposes of the generators


@dataclass(frozen=True)
class PlusConfig(Settings):
    """Settings of a QualiCLIP+ run; the defaults are those of pyiqa's option files.

    Attributes:
        seed: Of the context's first values, the order of the images and their crops.
        epochs: Passes over the labelled images.
        batch_size: Images per step; PLCC is taken within a batch, so at least 3.
        crop_size: Side of the square crop of each image, px.
        learning_rate: Adam's, falling to 0 along half a cosine.
        weight_mse: Of the mean squared error to the MOS scaled to [0, 1].
        weight_plcc: Of (1 - PLCC) / 2.
        temperature: Of the softmax.
    """

    seed: int = 123
    epochs: int = within(1, 10**6, 50)
    batch_size: int = within(3, 10**6, 8)
    crop_size: int = within(32, 4096, 384)
    learning_rate: float = within(0, 10, 2e-3)
    weight_mse: float = within(0, 10**6, 1.0)
    weight_plcc: float = within(0, 10**6, 1.0)
    temperature: float = within(1e-6, 10**6, 2.0)


def read_labels(path: str | Path) -> list[tuple[Path, float]]:
    """Read images and opinions from a csv file with columns `image` and `mos`, higher is better.

    Paths are relative to the file's folder. Raises ValueError when the file, a column, an image or
    a number is missing, or all numbers are equal.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(path.parent / r["image"], float(r["mos"])) for r in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as err:
        raise ValueError(f"{path}: expected a csv with columns image, mos ({err!r})") from err
    if bad := [str(p) for p, mos in rows if not math.isfinite(mos) or not p.is_file()]:
        raise ValueError(f"{path}: {len(bad)} rows without image file or number: {bad[:3]}")
    if len({mos for _, mos in rows}) < 2:
        raise ValueError(f"{path}: expected at least two different MOS")
    return rows


def train_plus(
    config: PlusConfig,
    labels: Sequence[tuple[Path, float]],
    out: str | Path,
    *,
    pretrained: str | Path,
    resume: bool = False,
    report: Notify | None = None,
) -> Path:
    """Fit the contexts of the antonym prompts to opinions.

    Args:
        config: Settings; kept in the checkpoint.
        labels: Image files and their MOS, higher is better, on any scale.
        out: Folder for `model.safetensors` (after the last epoch) and `state.pt` (each epoch).
        pretrained: QualiCLIP checkpoint with its text side, as published.
        resume: Continue from `out`'s `state.pt`.
        report: Called after every epoch; its steps are epochs.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When there are too few images, the checkpoint has no text side, or another
            training writes to `out`.
        FloatingPointError: When the loss is not finite.
    """
    if len(labels) < config.batch_size:
        raise ValueError(
            f"expected at least {config.batch_size} labelled images, got {len(labels)}"
        )
    low, high = min(mos for _, mos in labels), max(mos for _, mos in labels)
    scaled = [(path, (mos - low) / (high - low)) for path, mos in labels]
    with run_folder.own_folder(out) as folder:
        origin, metric = _with_context(config, pretrained)
        (context,) = (p for p in metric.parameters() if p.requires_grad)
        optimizer = torch.optim.Adam([context], lr=config.learning_rate)
        first = 0
        if resume:
            state = run_folder.load_state(folder)
            if state["config"] != config.to_dict():
                raise ValueError(f"--resume: {folder} was begun with other settings")
            context.data.copy_(state["context"])
            optimizer.load_state_dict(state["optimizer"])
            first = int(state["epoch"])
        for epoch in range(first, config.epochs):
            loss = _train_epoch(config, metric, optimizer, scaled, epoch)
            state = {
                "epoch": epoch + 1,
                "config": config.to_dict(),
                "context": context.detach(),
                "optimizer": optimizer.state_dict(),
            }
            run_folder.save_state(folder / run_folder.STATE, state)
            if report is not None:
                report(Report("training", epoch + 1, config.epochs, {"total": loss}))

        training = {"config": config.to_dict(), "labels": len(labels), "opinion_aware": True}
        model = dataclasses.replace(
            to_checkpoint(metric.eval(), origin), temperature=config.temperature, training=training
        )
        checkpoints.save(model, folder / run_folder.MODEL)
        return folder / run_folder.MODEL


def _train_epoch(
    config: PlusConfig,
    metric: QualiCLIP,
    optimizer: torch.optim.Optimizer,
    labels: Sequence[tuple[Path, float]],
    epoch: int,
) -> float:
    """Pass once over the images, shuffled by epoch; return the mean loss."""
    rng = data.generator(config.seed, epoch, _ORDER)
    order = torch.randperm(len(labels), generator=rng).tolist()
    losses = []
    for at in range(0, len(order) - config.batch_size + 1, config.batch_size):
        batch = [labels[i] for i in order[at : at + config.batch_size]]
        number = epoch * len(order) + at
        crops = [
            data.crop_pair(
                read(path), config.crop_size, data.generator(config.seed, number + k, _CROP)
            )[0]
            for k, (path, _) in enumerate(batch)
        ]
        mos = torch.tensor([value for _, value in batch])
        done = (epoch + at / len(order)) / config.epochs
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        loss = plus_loss(metric(torch.stack(crops))[:, 0], mos, config)
        if not loss.isfinite():
            raise FloatingPointError(f"epoch {epoch}: the loss is {loss.item()}")
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses)


def plus_loss(
    score: Float[Tensor, " n"], mos: Float[Tensor, " n"], config: PlusConfig
) -> Float[Tensor, ""]:
    """The loss of QualiCLIP+ on one batch, as in pyiqa's option files; score and MOS in [0, 1].

    `weight_mse * mean((score - mos)^2) + weight_plcc * (1 - PLCC(score, mos)) / 2`
    """
    # a batch of equal scores has no correlation: PLCC 0 rather than 0 / 0
    centred = score - score.mean(), mos - mos.mean()
    norms = [c.norm().clamp_min(1e-8) for c in centred]
    plcc = (centred[0] * centred[1]).sum() / (norms[0] * norms[1])
    mse = (score - mos).square().mean()
    total: Tensor = config.weight_mse * mse + config.weight_plcc * (1 - plcc) / 2
    return total


def _with_context(
    config: PlusConfig, pretrained: str | Path
) -> tuple[checkpoints.Checkpoint, QualiCLIP]:
    from qualiclip_metric.text.clip import initial_learner

    base = checkpoints.load(pretrained)
    if not base.text:
        raise ValueError(f"{pretrained}: QualiCLIP+ starts from a checkpoint with CLIP's text side")
    learner = initial_learner(base.text, data.generator(config.seed, 0, _CONTEXT))
    origin = dataclasses.replace(
        base, prompts=None, learner=learner, temperature=config.temperature
    )
    metric = from_checkpoint(origin).requires_grad_(False).eval()
    metric.text.train()
    metric.text.ctx.requires_grad_(True)
    return origin, metric
