"""Regression targets and weights of `lite`'s heads: which rows of the table teach which head."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.distortions import FAULTS
from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.features import FeatureTable
from qualiclip_metric.training.anchored.fit import (
    Heads,
    QuadraticPenalty,
    discriminant,
    ranks,
    ridge,
    to_logits,
)

PAIR_FAULTS = {1: "blur", 2: "blur", 3: "blur", 4: "noise"}
"""Index in `PROMPTS` of each pair that names a fault -> the fault."""


def fit_quality(
    table: FeatureTable, config: AnchoredConfig, penalties: Sequence[QuadraticPenalty] = ()
) -> tuple[Heads, Heads]:
    """Fit one head of local quality, in ranks, and the log odds of each of the scoring pairs.

    All pairs share the head of quality. A pair that names a fault adds the head of that fault, so
    that its probability falls further for this fault than for others.
    """
    target, weight = regression_targets(table, config)
    draws, levels = table.quality.shape
    level = torch.arange(levels).expand(draws, levels)
    pooled = table.pooled.flatten(0, 1)  # (draws * levels, channels)

    def head(target: Tensor, weight: Tensor) -> Heads:
        rows = weight.flatten() > 0
        return ridge(
            pooled[rows], target.flatten()[rows], weight.flatten()[rows], config.ridge, penalties
        )

    common = head(target, weight)
    named = set(PAIR_FAULTS.values()) if config.pair_specific_weight else set()
    own = {fault: head(*_only_fault(table, target, weight, FAULTS.index(fault))) for fault in named}
    pristine, strongest = (level == 0).flatten(), (level == levels - 1).flatten()
    pairs = []
    for index in range(len(PROMPTS)):
        both = common
        if (fault := PAIR_FAULTS.get(index)) in own:
            both = Heads(
                common.weight + config.pair_specific_weight * own[fault].weight,
                common.bias + config.pair_specific_weight * own[fault].bias,
            )
        pairs.append(to_logits(both, both(pooled)[:, 0], pristine, strongest))
    logits = Heads(torch.cat([p.weight for p in pairs]), torch.cat([p.bias for p in pairs]))
    return common, logits


def regression_targets(
    table: FeatureTable, config: AnchoredConfig
) -> tuple[Float[Tensor, "draws levels"], Float[Tensor, "draws levels"]]:
    """Target of each crop, its rank over all crops with corrections, and its weight."""
    draws, levels = table.quality.shape
    level = torch.arange(levels).expand(draws, levels)
    # Full-reference metrics hardly see some types at strong levels. For ladders of types, the level
    # itself is therefore part of the target; chains have links of different strengths, so that
    # their levels do not compare.
    loss = config.level_share * level / (levels - 1)
    target = ranks(table.quality) - torch.where(
        table.chained[:, None], torch.zeros_like(loss), loss
    )
    draw_weight = torch.where(table.hard, config.hard_weight, 1.0) * torch.where(
        table.composed, config.composed_weight, 1.0
    )
    return target, draw_weight[:, None] * torch.where(level == 0, config.pristine_weight, 1.0)


def fit_faults(table: FeatureTable, config: AnchoredConfig) -> Heads:
    """Fit the log odds of each fault of `FAULTS` against no fault, from draws with a single one.

    They are part of the projection, and increase the norm by which features are divided. The
    diagnosis has a head of its own (`anchored.diagnosis`).
    """
    levels = table.quality.shape[1]
    single = (table.shares > 0).sum(dim=1) == 1
    # a fault acts at level k of n with strength share * k / n; level 0 is the class "no fault"
    strength = table.shares.amax(dim=1)[:, None] * torch.arange(levels) / (levels - 1)
    fault = 1 + table.shares.argmax(dim=1)[:, None].expand_as(strength)
    label = torch.where(strength == 0, torch.zeros_like(fault), fault)
    shown = single[:, None] & ((strength == 0) | (strength >= config.fault_strength))
    return discriminant(table.pooled[shown], label[shown], len(FAULTS) + 1, config.fault_shrinkage)


def _only_fault(
    table: FeatureTable, target: Tensor, weight: Tensor, fault: int
) -> tuple[Tensor, Tensor]:
    """Target and weight of one fault's head.

    Draws of other faults count as flawless (the highest target); draws with this fault and others
    get weight 0, because their rank does not tell which fault lowered it.
    """
    has = table.shares[:, fault] > 0
    others = (table.shares > 0).sum(dim=1) - has.long() > 0
    return (
        torch.where(has[:, None], target, target.max()),
        torch.where((has & others)[:, None], torch.zeros_like(weight), weight),
    )
