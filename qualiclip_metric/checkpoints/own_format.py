"""This package's safetensors format, and the same content in pyiqa's layout: write and read."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_save
from torch import Tensor

from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.files import write_bytes
from qualiclip_metric.prompts import check_pairs

FORMAT = "qualiclip_metric/1"
PYIQA_KEY = "params"
HEADER_KEY = "qualiclip_metric"
DIAGNOSIS_KEY = "qualiclip_metric_diagnosis"


def save(checkpoint: Checkpoint, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a safetensors file atomically; the same model gives the same bytes.

    Args:
        checkpoint: The model.
        path: File to write.
        dtype: Type in which the encoder is stored; everything else is stored as fp32.
    """
    tensors = {f"encoder.{k}": v.to(dtype) for k, v in checkpoint.encoder.items()}
    tensors |= {f"learner.{k}": v.float() for k, v in checkpoint.learner.items()}
    if checkpoint.prompts is not None:
        tensors["prompts"] = checkpoint.prompts.float()
    tensors |= {f"diagnosis.{k}": v.float() for k, v in checkpoint.diagnosis.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_bytes(path, _with_sorted_metadata(safetensors_save(tensors, header(checkpoint))))


def _with_sorted_metadata(file: bytes) -> bytes:
    """Sort the header's metadata, whose order in the library is random.

    A safetensors file begins with eight bytes of length and that much JSON, padded with spaces.
    """
    length = int.from_bytes(file[:8], "little")
    content = json.loads(file[8 : 8 + length])
    content["__metadata__"] = dict(sorted(content["__metadata__"].items()))
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > length:
        return file
    return b"".join((file[:8], text.ljust(length, b" "), memoryview(file)[8 + length :]))


def save_pyiqa(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a file for pyiqa's `metric.load_weights(path)`: `{'params': state dict}`, atomically.

    The header is stored under a separate key, so that `read` can read the file as well.
    """
    state = {key: tensor.detach().cpu().clone() for key, tensor in checkpoint.state().items()}
    content: dict[str, object] = {PYIQA_KEY: state, HEADER_KEY: header(checkpoint)}
    if held := checkpoint.diagnosis:
        content[DIAGNOSIS_KEY] = {k: v.detach().cpu().clone() for k, v in held.items()}
    buffer = io.BytesIO()
    torch.save(content, buffer)  # given a path, torch would write the file's name into it
    write_bytes(path, buffer.getbuffer())


def header(checkpoint: Checkpoint) -> dict[str, str]:
    """The checkpoint's settings as strings, which is all that safetensors' metadata allows."""
    return {
        "format": FORMAT,
        "architecture": checkpoint.architecture,
        "pairs": json.dumps(checkpoint.pairs),
        "logit_scale": repr(checkpoint.logit_scale),
        "temperature": repr(checkpoint.temperature),
        "licence": checkpoint.licence,
        "scoring_size": repr(checkpoint.scoring_size),
        "fault_classes": json.dumps(checkpoint.fault_classes),
        "training": json.dumps(checkpoint.training, sort_keys=True),
    }


def from_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    """Parse a file that `save` wrote; CheckpointError when its header or prompts are wrong."""
    learner, prompts = part(tensors, "learner."), tensors.get("prompts")
    if metadata.get("format") != FORMAT or (prompts is None and not learner):
        raise CheckpointError(
            f"expected a safetensors file with format {FORMAT!r} in its header and the "
            f"prompts' features, got {metadata.get('format')!r}"
        )
    diagnosis = part(tensors, "diagnosis.")
    return _from_parts(part(tensors, "encoder."), prompts, learner, metadata, diagnosis)


def from_pyiqa(
    state: Mapping[str, Tensor], metadata: Any, diagnosis: Mapping[str, Tensor]
) -> Checkpoint:
    """Parse the content of a file that `save_pyiqa` wrote; CheckpointError for another header.

    `diagnosis` are the tensors of the diagnosis; empty if the file has none.
    """
    if not isinstance(metadata, Mapping) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(
            f"header: expected texts by name under {HEADER_KEY!r}, got {type(metadata).__name__}"
        )
    learner = part(state, "text.")
    prompts = learner.pop("features", None)
    return _from_parts(part(state, "encoder."), prompts, learner, metadata, diagnosis)


def _from_parts(
    encoder: dict[str, Tensor],
    prompts: Tensor | None,
    learner: dict[str, Tensor],
    metadata: Mapping[str, str],
    diagnosis: Mapping[str, Tensor],
) -> Checkpoint:
    for key in ("architecture", "logit_scale", "temperature"):
        if key not in metadata:
            raise CheckpointError(f"the header lacks {key!r}")
    pairs, classes = _json(metadata, "pairs", list), _json(metadata, "fault_classes", list)
    if not all(isinstance(name, str) for name in classes):
        raise CheckpointError(f"header: expected fault_classes to be names, got {classes!r:.60}")
    side = _number(metadata, "scoring_size") if "scoring_size" in metadata else 0.0
    if not (side >= 0 and side.is_integer()):
        raise CheckpointError(f"header: expected scoring_size of 0 or more px, got {side}")
    try:
        checked = check_pairs(pairs) if pairs else ()
    except ValueError as err:
        raise CheckpointError(f"header: {err}") from err
    return Checkpoint(
        architecture=metadata["architecture"],
        encoder=encoder,
        prompts=None if prompts is None else as_fp32(prompts),
        pairs=checked,
        logit_scale=_number(metadata, "logit_scale"),
        temperature=_number(metadata, "temperature"),
        licence=metadata.get("licence", "unknown"),
        training=_json(metadata, "training", dict),
        learner=learner,
        scoring_size=int(side),
        fault_classes=tuple(classes),
        diagnosis={name: as_fp32(tensor) for name, tensor in diagnosis.items()},
    )


def _json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    """Value of a JSON entry; empty if the entry is missing."""
    try:
        value = json.loads(metadata[key]) if key in metadata else kind()
    except (ValueError, RecursionError) as err:
        raise CheckpointError(f"header: {key} is no JSON ({metadata[key][:40]!r})") from err
    if not isinstance(value, kind):
        raise CheckpointError(
            f"header: expected {key} to be a {kind.__name__}, got {type(value).__name__}"
        )
    return value


def _number(metadata: Mapping[str, str], key: str) -> float:
    try:
        return float(metadata[key])
    except ValueError as err:
        raise CheckpointError(f"header: {key} is no number ({metadata[key][:40]!r})") from err


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose names start with a prefix, and remove it; floats become fp32."""
    return {
        key.removeprefix(prefix): as_fp32(tensor)
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def as_fp32(tensor: Tensor) -> Tensor:
    """Convert floating-point values to fp32; `check_values` refuses others among the weights."""
    return tensor.float() if tensor.is_floating_point() else tensor
