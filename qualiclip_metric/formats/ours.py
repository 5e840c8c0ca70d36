"""Our safetensors format, and the same in pyiqa's checkpoint layout: writing and reading."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from qualiclip_metric.files import replacing
from qualiclip_metric.formats.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.prompts import check_pairs

FORMAT = "qualiclip_metric/1"
PYIQA_KEY = "params"
HEADER_KEY = "qualiclip_metric"


def save(checkpoint: Checkpoint, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write our safetensors format, atomically.

    Args:
        checkpoint: The model.
        path: File to write; it appears whole or not at all.
        dtype: How the encoder's tensors are stored; the prompts' features stay fp32.
    """
    tensors = {f"encoder.{k}": v.detach().cpu().to(dtype) for k, v in checkpoint.encoder.items()}
    tensors |= {f"learner.{k}": v.detach().cpu().float() for k, v in checkpoint.learner.items()}
    if checkpoint.prompts is not None:
        tensors["prompts"] = checkpoint.prompts.detach().cpu().float()
    tensors = {k: v.contiguous() for k, v in tensors.items()}
    with replacing(path) as scratch:
        save_file(tensors, scratch, header(checkpoint))


def save_pyiqa(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write what `metric.load_weights(path)` of pyiqa reads: `{'params': state dict}`, atomically.

    Our header rides along under a key of its own, so that `load` reads the file, too.
    """
    state = {key: tensor.detach().cpu().clone() for key, tensor in checkpoint.state().items()}
    content = {PYIQA_KEY: state, HEADER_KEY: header(checkpoint)}
    with replacing(path) as scratch:
        torch.save(content, scratch)


def header(checkpoint: Checkpoint) -> dict[str, str]:
    """What the tensors do not say, as the strings that safetensors' metadata wants."""
    return {
        "format": FORMAT,
        "architecture": checkpoint.architecture,
        "pairs": json.dumps(checkpoint.pairs),
        "logit_scale": repr(checkpoint.logit_scale),
        "temperature": repr(checkpoint.temperature),
        "licence": checkpoint.licence,
        "training": json.dumps(checkpoint.training, sort_keys=True),
    }


def from_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    """A checkpoint from the content of our safetensors format.

    Raises:
        CheckpointError: When the header is not ours, or the prompts are missing.
    """
    learner, prompts = part(tensors, "learner."), tensors.get("prompts")
    if metadata.get("format") != FORMAT or (prompts is None and not learner):
        raise CheckpointError(
            f"expected a safetensors file with format {FORMAT!r} in its header and the "
            f"prompts' features, got {metadata.get('format')!r}"
        )
    return _from_parts(part(tensors, "encoder."), prompts, learner, metadata)


def from_pyiqa(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    """A checkpoint from the two halves of `save_pyiqa`'s file."""
    learner = part(state, "text.")
    return _from_parts(part(state, "encoder."), learner.pop("features", None), learner, metadata)


def _from_parts(
    encoder: dict[str, Tensor],
    prompts: Tensor | None,
    learner: dict[str, Tensor],
    metadata: Mapping[str, str],
) -> Checkpoint:
    pairs = json.loads(metadata.get("pairs", "[]"))
    return Checkpoint(
        architecture=metadata["architecture"],
        encoder=encoder,
        prompts=None if prompts is None else prompts.float(),
        pairs=check_pairs(pairs) if pairs else (),
        logit_scale=float(metadata["logit_scale"]),
        temperature=float(metadata["temperature"]),
        licence=metadata.get("licence", "unknown"),
        training=json.loads(metadata.get("training", "{}")),
        learner=learner,
    )


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, without it, floating point as fp32."""
    return {
        key.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
