"""Fine-tuning of the trunk to the ranks of crops, without losing what it has learned before."""

import copy
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.training import run_folder
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.features import FeatureTable, Sources, StoredDraws
from qualiclip_metric.training.anchored.fit import ridge
from qualiclip_metric.training.anchored.heads import regression_targets
from qualiclip_metric.training.report import Notify, Report

_DRAWS = 4  # per step, with all levels: 24 crops
_CROP = 5 / 7  # side of a crop in the side of a draw's: 160 of 224 px
_WARM_UP, _SAVE_EVERY = 50, 100  # steps
_HEAD_RATE = 3  # times the trunk's
_LARGEST_GRADIENT = 5.0
_RANK_VARIANCE = 0.08  # of uniform ranks: a regression loss of 1 is no better than the mean
_MARGIN, _LARGEST_STEP = 0.7, 0.15  # of the target's decrease from level to level
_RANKING = 3.0  # weight of the loss of the levels' order
_EMA = 0.998
# nearer to 1 than those of the heads: a step has few crops, which one of them would outweigh
_CROP_WEIGHTS: dict[str, Any] = {
    "hard_weight": 3.5, "pristine_weight": 3.0, "composed_weight": 1.0,
}  # fmt: skip


def settings(config: AnchoredConfig) -> dict[str, float]:
    """Settings that the fine-tuned weights depend on, beside those of the draws."""
    names = ("trunk_steps", "trunk_rate", "trunk_keep", "trunk_share", "level_share", "ridge")
    return {name: getattr(config, name) for name in names}


def fine_tune(
    encoder: LiteEncoder,
    draws: StoredDraws,
    start: FeatureTable,
    config: AnchoredConfig,
    sources: Sources,
    path: Path,
    notify: Notify,
) -> None:
    """Replace the trunk's weights by fine-tuned ones, averaged with the initial ones.

    A head on the pooled features, which begins as the ridge regression on the initial features
    `start`, learns with the trunk. Three losses: the weighted squared error of the ranks; a hinge
    on the order of neighbouring levels; and the change of the features of undegraded crops, so that
    the trunk forgets little (Li and Hoiem 2016, arXiv 1606.09282). The result is the exponential
    moving average over the steps, and of it `config.trunk_share` in an average with the initial
    weights, which keeps agreement with people on photos unlike the training's (WiSE-FT, Wortsman et
    al. 2022, arXiv 2109.01903).

    `path` is the resumable state. Raises ValueError when it is of other photos or settings.
    """
    run = _FineTuning(encoder, draws, start, config)
    identity = {**draws.pieces.identity, **sources}
    if path.exists():
        run.resume(torch.load(path, weights_only=True), identity, path)
    for step in run.steps():
        if step % _SAVE_EVERY == 0 or step == config.trunk_steps:
            run_folder.save_state(path, run.state(identity))
        notify(Report("trunk", step, config.trunk_steps, run.losses))
    share = config.trunk_share
    encoder.trunk.load_state_dict(
        {
            name: torch.lerp(weight, run.average[name], share)
            for name, weight in encoder.trunk.state_dict().items()
        }
    )


class _FineTuning:
    """The trunk and the head that learn, and what a step needs."""

    def __init__(
        self,
        encoder: LiteEncoder,
        draws: StoredDraws,
        start: FeatureTable,
        config: AnchoredConfig,
    ) -> None:
        self.initial, self.draws, self.config = encoder, draws, config
        self.target, self.weight = regression_targets(
            start, dataclasses.replace(config, **_CROP_WEIGHTS)
        )
        features = start.pooled.flatten(0, 1)  # (draws * levels, channels)
        self.mean, self.spread = features.mean(dim=0), features.std(dim=0).clamp_min(1e-4)
        self.encoder = copy.deepcopy(encoder).requires_grad_(True)
        begin = ridge(features, self.target.flatten(), self.weight.flatten(), config.ridge)
        self.head = nn.Parameter(begin.weight[0] * self.spread)
        self.bias = nn.Parameter(begin.bias + begin.weight[0] @ self.mean)
        self.average = copy.deepcopy(self.encoder.trunk.state_dict())
        groups: list[dict[str, Any]] = [
            {"params": self.encoder.trunk.parameters()},
            {"params": [self.head, self.bias]},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.order: list[int] = []
        self.step = 0
        self.losses: dict[str, float] = {}

    def state(self, identity: dict[str, Any]) -> dict[str, Any]:
        """All that `resume` needs."""
        return {
            "identity": identity, "step": self.step, "trunk": self.encoder.trunk.state_dict(),
            "head": self.head.data, "bias": self.bias.data, "average": self.average,
            "optimizer": self.optimizer.state_dict(), "rng": self.rng.get_state(),
            "order": self.order,
        }  # fmt: skip

    def resume(self, state: dict[str, Any], identity: dict[str, Any], path: Path) -> None:
        """Continue from `state`."""
        changed = sorted(k for k in identity if state["identity"].get(k) != identity[k])
        if changed:
            raise ValueError(
                f"{path} is of a run with other {changed}; delete it, or give another --out"
            )
        self.encoder.trunk.load_state_dict(state["trunk"])
        self.head.data, self.bias.data = state["head"], state["bias"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.set_state(state["rng"])
        self.average, self.order, self.step = state["average"], state["order"], state["step"]

    def steps(self) -> Iterator[int]:
        """Take the steps that are left; yield the number of each that is done."""
        while self.step < self.config.trunk_steps:
            self._take_step()
            yield self.step

    def _take_step(self) -> None:
        if len(self.order) < _DRAWS:
            self.order = torch.randperm(len(self.draws), generator=self.rng).tolist()
        numbers = [self.order.pop() for _ in range(min(_DRAWS, len(self.draws)))]
        crops = self._crops(numbers)  # (draws, levels, 3, side, side)
        target, weight = self.target[numbers], self.weight[numbers]
        standardised = self._standardised(self.encoder, crops.flatten(0, 1))
        features = standardised.reshape(*crops.shape[:2], -1)
        rank = features @ self.head + self.bias  # (draws, levels)
        regression = (weight * (rank - target).square()).sum() / weight.sum() / _RANK_VARIANCE
        wanted = (target[:, :-1] - target[:, 1:]).clamp(0, _LARGEST_STEP)
        ranking = functional.relu(_MARGIN * wanted - (rank[:, :-1] - rank[:, 1:])).mean()
        with torch.no_grad():
            before = self._standardised(self.initial, crops[:, 0])
        kept = (features[:, 0] - before).square().mean()
        loss = regression + _RANKING * ranking + self.config.trunk_keep * kept

        steps = self.config.trunk_steps
        rate = min(1, (self.step + 1) / _WARM_UP) * (1 + math.cos(math.pi * self.step / steps)) / 2
        for group, times in zip(self.optimizer.param_groups, (1, _HEAD_RATE), strict=True):
            group["lr"] = self.config.trunk_rate * rate * times
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.encoder.trunk.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.step += 1
        decay = min(_EMA, (1 + self.step) / (20 + self.step))  # shorter at first
        with torch.no_grad():
            for name, weights in self.encoder.trunk.state_dict().items():
                self.average[name].lerp_(weights, 1 - decay)
        losses = {"regression": regression, "ranking": ranking, "kept": kept, "total": loss}
        self.losses = {name: value.item() for name, value in losses.items()}

    def _crops(self, numbers: list[int]) -> Float[Tensor, "draws levels 3 c c"]:
        """Read draws, cut a random part of their crops, the same of all, and flip all or none."""
        crops = torch.cat([self.draws.crops(number) for number in numbers])
        side = round(_CROP * crops.shape[-1])
        y, x = torch.randint(0, crops.shape[-1] - side + 1, (2,), generator=self.rng).tolist()
        crops = crops[..., y : y + side, x : x + side]
        return crops.flip(-1) if torch.rand((), generator=self.rng) < 0.5 else crops

    def _standardised(
        self, encoder: LiteEncoder, crops: Float[Tensor, "n 3 c c"]
    ) -> Float[Tensor, "n channels"]:
        pooled = encoder.pooled(crops.contiguous(memory_format=torch.channels_last))
        return (pooled - self.mean) / self.spread
