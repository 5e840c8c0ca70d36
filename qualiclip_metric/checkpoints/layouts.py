"""Convert state dicts of QualiCLIP's authors, pyiqa, OpenAI and open_clip to `Checkpoint`.

A layout is recognised by a tensor that only it has, in the order of `LAYOUTS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.checkpoints.own_format import (
    DIAGNOSIS_KEY,
    HEADER_KEY,
    PYIQA_KEY,
    as_fp32,
    from_pyiqa,
    part,
)
from qualiclip_metric.checkpoints.validation import check_storage
from qualiclip_metric.prompts import PROMPTS

WRAPPERS = (PYIQA_KEY, "state_dict")
"""Keys under which pyiqa and open_clip's training put the tensors."""
PUBLISHED_LICENCE = "CC BY-NC 4.0"


def from_torch(content: Any) -> Checkpoint:
    """Convert the content of a torch file, or of a safetensors file of another project.

    Raises CheckpointError when the layout is not in `LAYOUTS`, or a tensor is not dense.
    """
    tensors = _tensors(content)
    if isinstance(content, Mapping) and HEADER_KEY in content:
        diagnosis = content.get(DIAGNOSIS_KEY, {})
        return from_pyiqa(tensors, content[HEADER_KEY], _tensors(diagnosis))
    for marker, read in LAYOUTS.items():
        if marker in tensors:
            return read(tensors)
    raise CheckpointError(
        f"layout: expected a tensor named {', '.join(LAYOUTS)}, or a file of ours; "
        f"got {len(tensors)} tensors, the first {sorted(tensors)[:3]}"
    )


def _tensors(content: Any) -> dict[str, Tensor]:
    """Tensors by name, taken out of `WRAPPERS` and of DistributedDataParallel's prefix."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"expected tensors by name, got {type(content).__name__}")
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    check_storage(tensors)
    return {key.removeprefix("module."): tensor for key, tensor in tensors.items()}


def _qualiclip(tensors: Mapping[str, Tensor]) -> Checkpoint:
    """Convert miccunifi/QualiCLIP's qualiclip.pth, or pyiqa's copy of it."""
    features = tensors["prompts_features"]
    if features.ndim != 2 or len(features) % 2 or not features.numel():
        raise CheckpointError(
            f"prompts_features: expected (2 x pairs, D), got {tuple(features.shape)}"
        )
    return replace(
        _clip({key.removeprefix("clip_model."): tensor for key, tensor in tensors.items()}),
        prompts=as_fp32(features).reshape(-1, 2, features.shape[1]),
        licence=PUBLISHED_LICENCE,
    )


def _qualiclip_plus(tensors: Mapping[str, Tensor]) -> Checkpoint:
    """Convert pyiqa's QualiCLIP+_*.pth, which hold only the learned prompts."""
    learner = part(tensors, "prompt_learner.")
    ctx = learner["ctx"]
    if ctx.ndim not in (2, 3) or "token_prefix" not in learner:
        raise CheckpointError(
            "prompt_learner: expected ctx of 2 or 3 dimensions beside token_prefix, got ctx of "
            f"shape {tuple(ctx.shape)} and {sorted(learner)}"
        )
    if ctx.ndim == 2:  # one context, shared by all prompts
        learner["ctx"] = ctx.expand(learner["token_prefix"].shape[0], -1, -1).clone()
    return Checkpoint(
        architecture="rn50",
        encoder={},
        prompts=None,
        pairs=PROMPTS,
        licence=PUBLISHED_LICENCE,
        learner=learner,
    )


def _clip(tensors: Mapping[str, Tensor]) -> Checkpoint:
    """Convert OpenAI's or open_clip's CLIP; its prompts are still to be computed."""
    return Checkpoint(
        architecture="rn50",
        encoder=_image_side(tensors),
        prompts=None,
        pairs=PROMPTS,
        logit_scale=_logit_scale(tensors),
        text={key: tensor for key, tensor in tensors.items() if key.startswith(_TEXT_SIDE)},
    )


LAYOUTS: dict[str, Callable[[Mapping[str, Tensor]], Checkpoint]] = {
    "prompts_features": _qualiclip,
    "prompt_learner.ctx": _qualiclip_plus,
    "visual.conv1.weight": _clip,
}
"""Name of a tensor that only this layout has -> converter."""

_TEXT_SIDE = (
    "token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection",
)  # fmt: skip
_POOL = "attnpool."
_UNUSED = "attnpool.positional_embedding"
"""QualiCLIP pools without it, so that any image size fits."""


def _image_side(clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `RN50Encoder`."""
    encoder = {}
    for key, tensor in part(clip, "visual.").items():
        if key != _UNUSED:
            pooling = key.startswith(_POOL)
            encoder["pool." + key.removeprefix(_POOL) if pooling else "trunk." + key] = tensor
    for key in [key for key in encoder if key.endswith(".running_var")]:
        # OpenAI's archive lacks batch normalisation's counters, which torch's modules have
        counter = key.removesuffix("running_var") + "num_batches_tracked"
        encoder.setdefault(counter, torch.tensor(0))
    return encoder


def _logit_scale(clip: Mapping[str, Tensor]) -> float:
    if "logit_scale" not in clip:
        raise CheckpointError("logit_scale: missing; the file does not hold the whole CLIP model")
    if (scale := clip["logit_scale"]).numel() != 1:
        raise CheckpointError(f"logit_scale: expected one number, got shape {tuple(scale.shape)}")
    return scale.float().exp().item()
