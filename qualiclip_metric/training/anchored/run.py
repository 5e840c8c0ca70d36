"""An anchored run, top to bottom: table, heads, prompts, validation, file."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from qualiclip_metric import checkpoints
from qualiclip_metric.build import from_checkpoint
from qualiclip_metric.checkpoints import Checkpoint
from qualiclip_metric.encoders import LiteEncoder
from qualiclip_metric.prompts import FAULT_PAIRS, PROMPTS
from qualiclip_metric.text.minilm import sentence_features
from qualiclip_metric.training import checkpoint as files
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.fit import (
    Heads,
    Penalty,
    discriminant,
    ranks,
    realised,
    ridge,
    to_logits,
)
from qualiclip_metric.training.anchored.groups import FAULTS
from qualiclip_metric.training.anchored.table import (
    Table,
    collect,
    flip_differences,
    pixel_gradients,
)
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.digests import combined_digest, digest_photos, split
from qualiclip_metric.training.loop import Report
from qualiclip_metric.training.photos import Photo, to_photo
from qualiclip_metric.training.start import initial_checkpoint
from qualiclip_metric.training.stopwatch import Rate
from qualiclip_metric.training.validation import validate

VALIDATION_PHOTOS = 12
"""Most held-out photos that the model is validated on, at 240 crops each."""
PROFILE = {1: "blur", 2: "blur", 3: "blur", 4: "noise"}
"""Index of each scoring pair that names a fault, and the fault."""


def train_anchored(
    config: AnchoredConfig,
    photos: Sequence[str | Photo],
    out: str | Path,
    *,
    pretrained: str | Path | None = None,
    report: Callable[[Report], None] | None = None,
) -> Path:
    """Fit `lite`'s head to full-reference ranks of degraded crops of pristine photos.

    The table of features in `out` is gone on with where it is there: what an interrupted run has
    computed is not computed again, and the outcome is the same to the bit.

    Args:
        config: Settings; kept in the checkpoint.
        photos: As for `train`. A share of them is held out for validation.
        out: Folder for `model.safetensors`, `validation.jsonl` and the table.
        pretrained: Checkpoint whose trunk is used; ImageNet's unless told.
        report: Called after every batch of draws, and at the end.

    Returns:
        Path of the model to score with.

    Raises:
        ValueError: When photos or config are off, the folder's table is of others, another training
            writes there, or several processes were started.
        ImportError: When the packages for training are missing, with the cure.
    """
    _check_alone()
    with files.own_folder(out) as folder:
        tell = report or (lambda _report: None)
        paths = [to_photo(photo) for photo in photos]
        digests = digest_photos(
            paths, folder / "digests.json", lambda done: tell(Report("photos", done, len(paths)))
        )
        learn, held = split(digests, config.validate_share)
        origin = initial_checkpoint(TrainConfig(temperature=config.temperature), pretrained)
        encoder = _trunk(origin)
        digest = combined_digest(digests[path] for path in learn)
        sources = {"photos": len(learn), "digest": digest, "start": origin.digest()}
        rate = Rate(config.levels)
        table = collect(
            encoder,
            learn,
            config,
            sources,
            folder / "features",
            lambda done: tell(Report("features", done, config.draws, crops_per_second=rate(done))),
        )
        quality, profile = fit_quality(table, config, _penalties(encoder, learn, config, folder))
        model = _model(origin, encoder, quality, profile, fit_faults(table, config), config)
        checked = validate(
            from_checkpoint(model),
            (held or learn)[:VALIDATION_PHOTOS],
            crop_size=config.crop_size,
            seed=config.seed,
            unseen=config.exclude,
            progress=lambda done: tell(Report("validation", done, VALIDATION_PHOTOS)),
        )
        files.log_validation(folder, config.draws, checked.to_dict())
        training = {
            "config": config.to_dict(),
            "data": {**sources, "held_out": len(held)},
            "validation": checked.to_dict(),
        }
        checkpoints.save(dataclasses.replace(model, training=training), folder / files.MODEL)
        tell(Report("training", 1, 1, {"total": 1 - checked.mean}, validation=checked))
        return folder / files.MODEL


def _check_alone() -> None:
    """Refuse to run as one of several processes, which would all write the same table."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise ValueError(
            f"objective 'anchored': expected one process, got WORLD_SIZE={processes}; start "
            "qualiclip train without torchrun or accelerate, and set workers to use more cores"
        )


def _penalties(
    encoder: LiteEncoder, photos: Sequence[Photo], config: AnchoredConfig, folder: Path
) -> list[Penalty]:
    """What the config asks the head to say little of."""
    found = []
    if config.smoothness:
        squared = pixel_gradients(encoder, photos, config, folder / "gradients")
        found.append(Penalty(config.smoothness, squared))
    if config.flips:
        squared = flip_differences(encoder, photos, config, folder / "flips")
        found.append(Penalty(config.flips, squared))
    return found


def fit_quality(
    table: Table, config: AnchoredConfig, penalties: Sequence[Penalty] = ()
) -> tuple[Heads, Heads]:
    """What local quality is read from, and the log odds of each scoring pair.

    Args:
        table: The features.
        config: Settings.
        penalties: What the heads are to say little of.
    """
    draws, levels = table.quality.shape
    level = torch.arange(levels).expand(draws, levels)
    loss = config.level_share * level / (levels - 1)
    target = ranks(table.quality) - torch.where(
        table.chained[:, None], torch.zeros_like(loss), loss
    )
    weight = torch.where(table.hard, config.hard_weight, 1.0)[:, None] * torch.where(
        level == 0, config.pristine_weight, 1.0
    )
    pooled = table.pooled.flatten(0, 1)

    def head(wanted: Tensor, weights: Tensor) -> Heads:
        rows = weights.flatten() > 0
        return ridge(
            pooled[rows],
            wanted.flatten()[rows],
            weights.flatten()[rows],
            config.ridge,
            penalties,
        )

    common = head(target, weight)
    own = {
        fault: head(*_of_one_fault(table, target, weight, FAULTS.index(fault)))
        for fault in (set(PROFILE.values()) if config.profile else ())
    }
    rows = []
    for place in range(len(PROMPTS)):
        both = common
        if fault := PROFILE.get(place) if config.profile else None:
            both = Heads(
                common.weight + config.profile * own[fault].weight,
                common.bias + config.profile * own[fault].bias,
            )
        predicted = both(pooled)[:, 0]
        rows.append(
            to_logits(both, predicted, (level == 0).flatten(), (level == levels - 1).flatten())
        )
    logits = Heads(torch.cat([r.weight for r in rows]), torch.cat([r.bias for r in rows]))
    return common, logits


def fit_faults(table: Table, config: AnchoredConfig) -> Heads:
    """Log odds of each fault of `FAULTS` against no fault, from draws with a single one.

    Args:
        table: The features.
        config: Settings.
    """
    levels = table.quality.shape[1]
    single = (table.shares > 0).sum(dim=1) == 1
    strength = table.shares.amax(dim=1)[:, None] * torch.arange(levels) / (levels - 1)
    fault = 1 + table.shares.argmax(dim=1)[:, None].expand_as(strength)
    label = torch.where(strength == 0, torch.zeros_like(fault), fault)
    shown = single[:, None] & ((strength == 0) | (strength >= config.fault_strength))
    return discriminant(table.pooled[shown], label[shown], len(FAULTS) + 1, config.fault_shrinkage)


def _of_one_fault(
    table: Table, target: Tensor, weight: Tensor, place: int
) -> tuple[Tensor, Tensor]:
    """Target and weights in which other faults count as none; draws with both count nothing."""
    has = table.shares[:, place] > 0
    others = (table.shares > 0).sum(dim=1) - has.long() > 0
    best = target.max()
    wanted = torch.where(has[:, None], target, best)
    return wanted, torch.where((has & others)[:, None], torch.zeros_like(weight), weight)


def _trunk(origin: Checkpoint) -> LiteEncoder:
    metric = from_checkpoint(origin).eval().requires_grad_(False)
    metric.to(memory_format=torch.channels_last)
    assert isinstance(metric.encoder, LiteEncoder)
    return metric.encoder


def _model(
    origin: Checkpoint,
    encoder: LiteEncoder,
    quality: Heads,
    profile: Heads,
    faults: Heads,
    config: AnchoredConfig,
) -> Checkpoint:
    """The checkpoint whose prompts say what the heads say."""
    prompts = sentence_features((*PROMPTS, *FAULT_PAIRS))
    heads = Heads(
        torch.cat([profile.weight, -faults.weight]), torch.cat([profile.bias, -faults.bias])
    )
    weight, bias = realised(heads, prompts, origin.logit_scale / config.temperature)
    weighted = LiteEncoder(weighted=True)
    weighted.trunk.load_state_dict(encoder.trunk.state_dict())
    assert weighted.pooling is not None
    with torch.no_grad():
        weighted.projection.weight.copy_(weight)
        weighted.projection.bias.copy_(bias)
        weighted.pooling.head.copy_(quality.weight[0])
        weighted.pooling.centre.fill_(config.centre)
        weighted.pooling.worst.fill_(config.worst)
    return dataclasses.replace(
        origin,
        encoder=weighted.state_dict(),
        prompts=prompts[: len(PROMPTS)],
        pairs=PROMPTS,
        temperature=config.temperature,
        scoring_size=config.scoring_size,
        faults=FAULTS,
        fault_pairs=FAULT_PAIRS,
        fault_prompts=prompts[len(PROMPTS) :],
    )
