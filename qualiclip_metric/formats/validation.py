"""Whether the tensors and settings of a checkpoint can be those of a model at all.

A single NaN among millions of weights still gives a number that looks like a score, so every value
is looked at once when a file is read.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from qualiclip_metric.formats.checkpoint import Checkpoint, CheckpointError

COUNTER = "num_batches_tracked"
"""The one kind of integer tensor that a model has: batch normalisation's counter, which no score
depends on."""


def check_storage(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not plain arrays, before anything is computed with them.

    Args:
        tensors: As they were in the file, by name.

    Raises:
        CheckpointError: When a tensor is sparse, quantised or without values, or claims more values
            than the file holds (a few bytes can claim terabytes).
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
    """Refuse weights, prompts and settings that no model can have.

    Args:
        checkpoint: A checkpoint as it was read.

    Raises:
        CheckpointError: When a tensor is not floating point or holds a value that is not finite,
            when the prompts are empty, of another shape than (P, 2, D), or of another number than
            their texts, or when logit scale or temperature is not a finite number above 0.
    """
    for group in ("encoder", "learner", "text"):
        for name, tensor in getattr(checkpoint, group).items():
            if not name.endswith(COUNTER):
                _check_tensor(f"{group}.{name}", tensor)
    if checkpoint.prompts is not None:
        _check_prompts(checkpoint.prompts, len(checkpoint.pairs))
    for name in ("logit_scale", "temperature"):
        value = getattr(checkpoint, name)
        if not (math.isfinite(value) and value > 0):
            raise CheckpointError(f"{name}: expected a finite number above 0, got {value}")


def _check_tensor(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise CheckpointError(f"{name}: expected floating point values, got {tensor.dtype}")
    if tensor.sum().isfinite():  # one pass without a copy; NaN and infinity stay in a sum
        return
    finite = tensor.isfinite()
    if not finite.all():  # else the sum alone was too large
        count = int(finite.numel() - finite.sum())
        raise CheckpointError(
            f"{name}: {count} of {finite.numel()} values are NaN or infinite; the file is damaged, "
            "or the training that wrote it diverged"
        )


def _check_prompts(prompts: Tensor, texts: int) -> None:
    if prompts.ndim != 3 or prompts.shape[1] != 2 or prompts.numel() == 0:
        raise CheckpointError(
            f"prompts: expected features of shape (pairs, 2, D), none of them 0, "
            f"got {tuple(prompts.shape)}"
        )
    _check_tensor("prompts", prompts)
    if texts and texts != len(prompts):
        raise CheckpointError(
            "prompts: expected as many pairs of features as of texts, "
            f"got {len(prompts)} and {texts}"
        )
