"""Checks of the tensors and settings of a checkpoint.

A single NaN among millions of weights can still give a plausible score, so every value is checked
once when a file is read.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.diagnosis import DESCRIPTORS, NONE
from qualiclip_metric.encoders.lite import CHANNELS

COUNTER = "num_batches_tracked"
"""Batch normalisation's counter, the only integer tensor of a model; no score depends on it."""


def check_storage(tensors: Mapping[str, Tensor]) -> None:
    """Raise unless all tensors are dense arrays on the CPU, before anything is computed with them.

    A tensor with a larger shape than the file has values for is refused: a few bytes can state
    terabytes.
    """
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.is_quantized or tensor.is_nested:
            raise CheckpointError(f"{name}: expected a dense tensor, got {tensor.layout}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{name}: its shape {tuple(tensor.shape)} is larger than what the file holds of it"
            )


def check_values(checkpoint: Checkpoint) -> None:
    """Raise if weights, prompts or settings are not those of a model.

    Values must be finite floats; prompts (P, 2, D), as many as their texts; the diagnosis' prompts
    one pair per fault, of the same width; logit scale and temperature above 0.
    """
    for group in ("encoder", "learner", "text"):
        for name, tensor in getattr(checkpoint, group).items():
            if not name.endswith(COUNTER):
                _check_tensor(f"{group}.{name}", tensor)
    if checkpoint.prompts is not None:
        _check_prompts(checkpoint.prompts, len(checkpoint.pairs))
    _check_diagnosis(checkpoint)
    for name in ("logit_scale", "temperature"):
        value = getattr(checkpoint, name)
        if not (math.isfinite(value) and value > 0):
            raise CheckpointError(f"{name}: expected a finite number above 0, got {value}")


def _check_tensor(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise CheckpointError(f"{name}: expected floating point values, got {tensor.dtype}")
    if tensor.sum().isfinite():  # one pass without a copy; NaN and infinity persist in a sum
        return
    finite = tensor.isfinite()
    if not finite.all():  # otherwise only the sum overflowed
        count = int(finite.numel() - finite.sum())
        raise CheckpointError(
            f"{name}: {count} of {finite.numel()} values are NaN or infinite; the file is damaged, "
            "or the training that wrote it diverged"
        )


def _check_diagnosis(checkpoint: Checkpoint) -> None:
    """Raise unless the diagnosis is whole and every class has a name, or there is none."""
    held, classes = checkpoint.diagnosis, checkpoint.fault_classes
    if not held and not classes:
        return
    inputs = sum(CHANNELS) + len(DESCRIPTORS)
    shapes = {
        "mean": (inputs,), "std": (inputs,), "weight": (len(classes), inputs),
        "bias": (len(classes),),
    }  # fmt: skip
    if {name: tuple(tensor.shape) for name, tensor in held.items()} != shapes:
        found = ", ".join(f"{name} {tuple(held[name].shape)}" for name in held) or "no tensor"
        raise CheckpointError(f"diagnosis: expected the shapes {shapes}, got {found}")
    for name, tensor in held.items():
        _check_tensor(f"diagnosis.{name}", tensor)
    if not (held["std"] > 0).all():
        raise CheckpointError("diagnosis.std: expected numbers above 0")
    if NONE not in classes or len(set(classes)) < 2:
        raise CheckpointError(
            f"fault_classes: expected {NONE!r} and at least one fault, got {', '.join(classes)}"
        )


def _check_prompts(prompts: Tensor, texts: int) -> None:
    if prompts.ndim != 3 or prompts.shape[1] != 2 or prompts.numel() == 0:
        raise CheckpointError(
            "prompts: expected features of shape (pairs, 2, D), none of them 0, "
            f"got {tuple(prompts.shape)}"
        )
    _check_tensor("prompts", prompts)
    if texts and texts != len(prompts):
        raise CheckpointError(
            "prompts: expected as many pairs of features as of texts, "
            f"got {len(prompts)} and {texts}"
        )
