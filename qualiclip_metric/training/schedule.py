"""The learning rate of each step."""

import math

import torch

from qualiclip_metric.training.config import TrainConfig


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainConfig) -> None:
    """Linear warm-up, then half a cosine down to 0: a function of the step alone.

    Args:
        optimizer: Its groups hold their `peak_lr`; their `lr` is set.
        step: Number of the step, from 0.
        config: Settings; `steps` and `warmup` are used.
    """
    rise = max(1, round(config.warmup * config.steps))
    if config.warmup and step < rise:
        factor = (step + 1) / rise
    else:
        done = (step - rise * bool(config.warmup)) / max(1, config.steps)
        factor = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
