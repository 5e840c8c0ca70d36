"""An anchored run, top to bottom: draws, trunk, features, heads, validation, checkpoint."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from qualiclip_metric import checkpoints
from qualiclip_metric.build import from_checkpoint
from qualiclip_metric.checkpoints import Checkpoint
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.prompts import FAULT_PAIRS, PROMPTS
from qualiclip_metric.text.minilm import sentence_features
from qualiclip_metric.training import run_folder
from qualiclip_metric.training.anchored import trunk
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.diagnosis import (
    CLASSES,
    SETTINGS,
    collect_versions,
    fit_diagnosis,
)
from qualiclip_metric.training.anchored.features import StoredDraws, collect, second_moment
from qualiclip_metric.training.anchored.fit import Heads, QuadraticPenalty, heads_to_projection
from qualiclip_metric.training.anchored.heads import fit_faults, fit_quality
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.digests import Split, read_split
from qualiclip_metric.training.photos import Photo
from qualiclip_metric.training.report import Notify, Report, ignore
from qualiclip_metric.training.start import initial_checkpoint
from qualiclip_metric.training.validation import validate

VALIDATION_PHOTOS = 12
"""Most held-out photos that the model is validated on, at 240 crops each."""


def train_anchored(
    config: AnchoredConfig,
    photos: Sequence[str | Photo],
    out: str | Path,
    *,
    pretrained: str | Path | None = None,
    report: Notify | None = None,
) -> Path:
    """Fine-tune `lite`'s trunk and fit its heads to full-reference ranks of degraded crops.

    What an interrupted run has left in `out` is not computed again; the result is the same to the
    bit.

    Args:
        config: Settings; kept in the checkpoint.
        photos: As for `train`. A share of them is held out for validation.
        out: Folder for `model.safetensors`, `validation.jsonl`, and what the run computes.
        pretrained: Checkpoint whose trunk is used; default: ImageNet's.
        report: Called while photos are hashed, after every batch of draws, during the validation,
            and at the end.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When photos or config are wrong, the folder's features are of other ones,
            another training writes there, or several processes were started.
        ImportError: When the packages for training are missing, with the cure.
    """
    with _begun(config, photos, out, report) as (folder, split, notify):
        origin = initial_checkpoint(TrainConfig(temperature=config.temperature), pretrained)
        encoder = _frozen_encoder(origin)
        draws = StoredDraws(
            split.learn,
            config,
            split.sources,
            folder / "draws",
            lambda done: notify(Report("draws", done, config.all_draws)),
        )

        def count(done: int) -> None:
            notify(Report("features", done, config.all_draws))

        sources = {**split.sources, "start": origin.digest()}
        if config.trunk_steps:
            start = collect(encoder, draws, sources, folder / "features-start", count)
            sources["trunk"] = trunk.settings(config)
            trunk.fine_tune(encoder, draws, start, config, sources, folder / "trunk.pt", notify)
        table = collect(encoder, draws, sources, folder / "features", count)
        penalties = [
            QuadraticPenalty(
                weight, second_moment(kind, encoder, split.learn, config, sources, folder)
            )
            for kind, weight in (
                ("gradients", config.gradient_penalty),
                ("flips", config.flip_penalty),
            )
            if weight
        ]
        quality, pairs = fit_quality(table, config, penalties)
        model = _checkpoint(origin, encoder, quality, pairs, fit_faults(table, config), config)
        model = _with_diagnosis(model, split, config, folder, notify)
        held = (split.held or split.learn)[:VALIDATION_PHOTOS]
        found = validate(
            from_checkpoint(model),
            held,
            crop_size=config.crop_size,
            seed=config.seed,
            unseen=config.exclude,
            progress=lambda done: notify(Report("validation", done, len(held))),
        )
        run_folder.log_validation(folder, config.all_draws, found.to_dict())
        training = {
            **model.training,
            "config": config.to_dict(),
            "data": sources,
            "validation": found.to_dict(),
        }
        checkpoints.save(dataclasses.replace(model, training=training), folder / run_folder.MODEL)
        notify(Report("training", 1, 1, validation=found))
        return folder / run_folder.MODEL


def train_diagnosis(
    config: AnchoredConfig,
    photos: Sequence[str | Photo],
    out: str | Path,
    model: str | Path,
    report: Notify | None = None,
) -> Path:
    """Fit only the diagnosis of an anchored model (a name or a path), and write the model with it.

    No other tensor of the model changes. Arguments, return value and errors are those of
    `train_anchored`; a ValueError also for a model of another kind.
    """
    with _begun(config, photos, out, report) as (folder, split, notify):
        made = _with_diagnosis(checkpoints.load(model), split, config, folder, notify)
        checkpoints.save(made, folder / run_folder.MODEL)
        return folder / run_folder.MODEL


@contextmanager
def _begun(
    config: AnchoredConfig, photos: Sequence[str | Photo], out: str | Path, report: Notify | None
) -> Iterator[tuple[Path, Split, Notify]]:
    """Own the run's folder and split the photos.

    Raises ValueError in one of several processes, which would all write the same files.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise ValueError(
            f"objective 'anchored': expected one process, got WORLD_SIZE={processes}; start "
            "qualiclip train without torchrun or accelerate, and set workers to use more cores"
        )
    notify = report or ignore
    with run_folder.own_folder(out) as folder:
        yield folder, read_split(photos, config.validate_share, folder, notify), notify


def _with_diagnosis(
    model: Checkpoint, split: Split, config: AnchoredConfig, folder: Path, notify: Notify
) -> Checkpoint:
    """Fit the diagnosis of an anchored model; its scores do not change."""
    encoder = from_checkpoint(model).eval().requires_grad_(False).encoder
    if not isinstance(encoder, LiteEncoder):
        raise ValueError(f"diagnosis: expected a model as lite is, got {model.architecture}")
    table = collect_versions(
        encoder,
        split.learn,
        dataclasses.replace(config, scoring_size=model.scoring_size),
        {**split.sources, "model": model.digest()},
        folder / "diagnosis",
        lambda done, total: notify(Report("diagnosis", done, total)),
    )
    head, facts = fit_diagnosis(table, config)
    settings = {name: value for name, value in config.to_dict().items() if name in SETTINGS}
    training = {**model.training, "diagnosis": {**settings, **split.sources, **facts}}
    return dataclasses.replace(model, fault_classes=CLASSES, diagnosis=head, training=training)


def _frozen_encoder(origin: Checkpoint) -> LiteEncoder:
    metric = from_checkpoint(origin).eval().requires_grad_(False)
    metric.to(memory_format=torch.channels_last)
    assert isinstance(metric.encoder, LiteEncoder)
    return metric.encoder


def _checkpoint(
    origin: Checkpoint,
    encoder: LiteEncoder,
    quality: Heads,
    pairs: Heads,
    faults: Heads,
    config: AnchoredConfig,
) -> Checkpoint:
    """Checkpoint whose prompt pairs give the heads' log odds, with weighted pooling."""
    prompts = sentence_features((*PROMPTS, *FAULT_PAIRS))
    # the positive prompt of a fault's pair says that there is no fault: the sign is turned
    heads = Heads(torch.cat([pairs.weight, -faults.weight]), torch.cat([pairs.bias, -faults.bias]))
    weight, bias = heads_to_projection(heads, prompts, origin.logit_scale / config.temperature)
    weighted = LiteEncoder(weighted=True)
    weighted.trunk.load_state_dict(encoder.trunk.state_dict())
    assert weighted.pooling is not None
    with torch.no_grad():
        weighted.projection.weight.copy_(weight)
        weighted.projection.bias.copy_(bias)
        weighted.pooling.head.copy_(quality.weight[0])
        weighted.pooling.centre.fill_(config.center_sigma)
        weighted.pooling.worst.fill_(config.low_quality_weight)
    return dataclasses.replace(
        origin,
        encoder=weighted.state_dict(),
        prompts=prompts[: len(PROMPTS)],
        pairs=PROMPTS,
        temperature=config.temperature,
        scoring_size=config.scoring_size,
    )
