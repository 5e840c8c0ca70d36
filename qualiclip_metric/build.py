"""`create`: the one place that joins encoder, prompts and weights into a metric."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from qualiclip_metric.checkpoints import Checkpoint, CheckpointError, load, signature_name
from qualiclip_metric.diagnosis import DiagnosisHead
from qualiclip_metric.encoders import ENCODERS, Encoder
from qualiclip_metric.engines import choose_engine, choose_precision, device_of
from qualiclip_metric.input_check import MIN_SIZE
from qualiclip_metric.metric import Identity, QualiCLIP
from qualiclip_metric.prompts import PROMPTS, Pair, check_pairs
from qualiclip_metric.signature import NATIVE, digest, prompts_part

if hasattr(os, "register_at_fork"):
    # OpenMP's threads do not survive a fork, and a child that waits for them never ends. torch's
    # own DataLoader gives its workers one thread for the same reason.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@contextmanager
def normal_tensors() -> Iterator[None]:
    """Make tensors that are fp32 and can take part in autograd, in any mode of the caller.

    In a caller's `torch.inference_mode`, no gradient could pass the weights. With a caller's
    default dtype, weights and constants would not be what the signature says.
    """
    dtype = torch.get_default_dtype()  # of the whole process: touched only if it must be
    if dtype != torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False):
            yield
    finally:
        if dtype != torch.float32:
            torch.set_default_dtype(dtype)


@normal_tensors()
def create(
    model: str | Path = "lite",
    *,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    temperature: float | None = None,
    engine: str = "torch",
    prompts: Sequence[Pair] | None = None,
    size: int | str | None = None,
    check_input: bool = True,
) -> QualiCLIP:
    """Create a metric that is ready to score.

    Args:
        model: A registered name (`lite`, `qualiclip`, `qualiclip+`; `qualiclip weights list` shows
            all), `hf://user/name` or `hf://user/name@revision` for a model on the hub, or the path
            of a checkpoint in any format that `checkpoints.read` reads.
        device: Device to compute on; default: the CPU.
        precision: `fp32`, the reference; `bf16`: the encoder's trunk runs in bfloat16, which is
            faster on GPUs and on CPUs with AVX-512 BF16 or AMX, with the deviation that the model
            card states; `auto`: bf16 where it is faster, otherwise fp32. The weights stay fp32, and
            so does the computation if a gradient is needed.
        temperature: Temperature of the softmax; default: the checkpoint's.
        engine: Engine of the trunk: `torch`, the reference, on any device; `openvino` (extra
            `openvino`), faster on CPUs; `auto`, openvino if it is installed and the device is the
            CPU. Gradients are always computed by torch.
        prompts: Antonym pairs (positive, negative) instead of the model's own; needs the model's
            text encoder.
        size: Shorter side in px to which larger images are reduced before they are scored, or
            `native` to score images at their own size; default: the model's.
        check_input: Whether to check that images are finite and in [0, 1]; see `QualiCLIP`.

    Returns:
        The metric in evaluation mode with frozen parameters; its `signature` states the model, the
        settings and what `auto` stands for. Gradients with respect to the image are available.

    Raises:
        ValueError: When an argument is not as above, or the checkpoint is no such model.
        ImportError: When the engine, or the text encoder for `prompts`, is not installed; the
            message states the cure.
        WeightsError: When published weights are not available; the message states the cure.

    Example:
        >>> metric = create("lite")
        >>> metric(torch.rand(2, 3, 96, 128)).shape
        torch.Size([2, 1])
        >>> print(metric.signature)
        model:lite|weights:...|prompts:7x2|temperature:4|precision:fp32|engine:torch|size:512|...
    """
    chosen = device_of(device or "cpu")
    precision = choose_precision(precision, chosen)
    engine = choose_engine(engine, chosen)
    checkpoint = load(model)
    checkpoint = replace(checkpoint, scoring_size=_scoring_size(size, checkpoint.scoring_size))
    asked = checkpoint if prompts is None else with_prompts(checkpoint, prompts)
    metric = from_checkpoint(asked, temperature)
    metric.check_input = check_input
    assert isinstance(metric.encoder, Encoder)
    metric.encoder.compute_with(engine, precision)
    metric.eval().requires_grad_(False)
    sha256 = digest(metric.state_dict())
    # the digest with the model's own prompts, so that a user's prompts do not change `weights`
    own = sha256 if prompts is None else _with_features(checkpoint).digest()
    # the engines and torch's convolutions compute in channels-last order
    metric.to(device=device).to(memory_format=torch.channels_last)
    given = metric.pairs if prompts is not None else ()
    part = prompts_part(len(metric.prompts), given)
    metric.identify(Identity(signature_name(model, checkpoint), own[:8], part, sha256))
    return metric


def with_prompts(checkpoint: Checkpoint, pairs: Sequence[Pair]) -> Checkpoint:
    """Replace the antonym prompts of a model, with their features.

    `lite`'s text encoder comes with an extra, CLIP's is part of some checkpoints. Raises
    CheckpointError when the model's prompts are learned, or it has no text encoder.
    """
    pairs = check_pairs(pairs)
    if checkpoint.learner:
        raise CheckpointError(
            "prompts: this model's are learned and cannot be exchanged; "
            "choose a model with written ones, such as qualiclip or lite"
        )
    if checkpoint.architecture == "lite":
        from qualiclip_metric.text.minilm import sentence_features

        features = sentence_features(pairs)
    else:
        features = _clip_features(checkpoint, pairs)
    return replace(checkpoint, prompts=features, pairs=pairs)


def _clip_features(checkpoint: Checkpoint, pairs: Sequence[Pair]) -> Tensor:
    if not checkpoint.text:
        raise CheckpointError(
            "prompts: this checkpoint has no text encoder; those that have one are the published "
            "qualiclip.pth (create('qualiclip')) and any whole CLIP RN50 (create('openai'))"
        )
    from qualiclip_metric.text.clip import prompt_features

    try:
        return prompt_features(checkpoint.text, pairs)
    except (KeyError, IndexError, RuntimeError) as err:
        raise CheckpointError(f"the text tower is not that of CLIP RN50 ({err})") from err


@normal_tensors()
def from_checkpoint(checkpoint: Checkpoint, temperature: float | None = None) -> QualiCLIP:
    """Build the module that a checkpoint describes, in fp32 on the CPU, without a signature.

    Raises CheckpointError when the architecture is unknown, or the tensors do not fit it.
    """
    try:
        return _assembled(checkpoint, temperature)
    except CheckpointError as err:
        raise CheckpointError(f"{checkpoint.file}: {err}" if checkpoint.file else str(err)) from err


def _assembled(checkpoint: Checkpoint, temperature: float | None) -> QualiCLIP:
    if checkpoint.architecture not in ENCODERS:
        raise CheckpointError(
            f"architecture: expected one of {sorted(ENCODERS)}, got {checkpoint.architecture!r}; "
            "a newer version of qualiclip-metric may know it"
        )
    encoder = ENCODERS[checkpoint.architecture](checkpoint.encoder.keys())
    _fill(encoder, checkpoint.encoder, f"a {checkpoint.architecture} encoder")
    metric = QualiCLIP(
        encoder,
        _prompts(checkpoint),
        temperature=checkpoint.temperature if temperature is None else temperature,
        logit_scale=checkpoint.logit_scale,
        scoring_size=checkpoint.scoring_size,
    )
    metric.pairs = checkpoint.pairs
    metric.provenance = {
        name: getattr(checkpoint, name)
        for name in ("architecture", "licence", "training", "fault_classes", "diagnosis")
    }
    if checkpoint.diagnosis:
        if not hasattr(encoder, "pooled_and_features"):
            raise CheckpointError(
                f"diagnosis: expected an encoder of lite, got {checkpoint.architecture}"
            )
        metric.diagnosis = DiagnosisHead(checkpoint.fault_classes, checkpoint.diagnosis)
    return metric


def _scoring_size(size: int | str | None, own: int) -> int:
    """Parse the argument `size`; 0 stands for `native`."""
    if size is None:
        return own
    if size == NATIVE:
        return 0
    if isinstance(size, bool) or not str(size).isdecimal() or int(size) < MIN_SIZE:
        raise ValueError(
            f"size: expected {NATIVE!r} or a shorter side of at least {MIN_SIZE} px, got {size!r}"
        )
    return int(size)


def complete(model: str | Path) -> Checkpoint:
    """Load the checkpoint of a model, and compute the prompts' features if its file lacks them."""
    checkpoint = load(model)
    return to_checkpoint(from_checkpoint(checkpoint), checkpoint)


def checkpoint_of(metric: QualiCLIP) -> Checkpoint:
    """Convert a metric of `create`, with its present weights and settings, to a checkpoint."""
    if not metric.provenance:
        raise ValueError(
            "expected a metric that `create` made; for one built by hand, whose encoder has no "
            "name, use checkpoints.save(Checkpoint(...), path)"
        )
    settings = {**metric.provenance, "pairs": metric.pairs, "scoring_size": metric.scoring_size}
    return to_checkpoint(metric, Checkpoint(encoder={}, prompts=None, **settings))


def to_checkpoint(metric: QualiCLIP, like: Checkpoint) -> Checkpoint:
    """Put the tensors of a metric into the checkpoint that it was made from."""
    state = metric.state_dict()
    text = {k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")}
    return replace(
        like,
        encoder={k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("enc")},
        prompts=text.pop("features", None),
        learner=text,
        temperature=metric.temperature,
        logit_scale=float(metric.logit_scale),
    )


def _prompts(checkpoint: Checkpoint) -> Tensor | nn.Module:
    """Features of the prompts, or the module that computes QualiCLIP+'s learned ones."""
    if not checkpoint.learner or checkpoint.prompts is not None:
        features = _with_features(checkpoint).prompts
        assert features is not None
        return features
    from qualiclip_metric.text.clip import CONTEXT_TOKENS, PromptLearner

    ctx = checkpoint.learner.get("ctx")
    context = CONTEXT_TOKENS if ctx is None or ctx.ndim != 3 else ctx.shape[1]
    learner = PromptLearner(checkpoint.pairs or PROMPTS, context)
    _fill(learner, checkpoint.learner, "QualiCLIP+'s prompts")
    return learner


def _with_features(checkpoint: Checkpoint) -> Checkpoint:
    """Compute the features of written prompts with CLIP's text tower if the file lacks them."""
    if checkpoint.prompts is not None:
        return checkpoint
    return replace(checkpoint, prompts=_clip_features(checkpoint, checkpoint.pairs or PROMPTS))


def _fill(module: nn.Module, given: Mapping[str, Tensor], what: str) -> None:
    """Load weights into a module; the error names the first keys that do not fit."""
    own = module.state_dict()
    if own.keys() != given.keys():
        missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
        raise CheckpointError(
            f"weights are not those of {what}: missing {missing[:3]}, unknown {unknown[:3]}"
        )
    for key, tensor in own.items():
        if tensor.shape != given[key].shape:
            raise CheckpointError(
                f"weights are not those of {what}: {key} should have "
                f"shape {tuple(tensor.shape)}, got {tuple(given[key].shape)}"
            )
    module.load_state_dict(dict(given))
