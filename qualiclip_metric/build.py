"""`create`: the one place that joins encoder, prompts and weights into a metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from qualiclip_metric import formats, weights
from qualiclip_metric.encoders import ENCODERS, Encoder
from qualiclip_metric.engines import DTYPES, choose_engine, choose_precision, device_of
from qualiclip_metric.formats import Checkpoint, CheckpointError
from qualiclip_metric.input_check import MIN_SIZE
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS, Pair, check_pairs
from qualiclip_metric.signature import Signature, digest, prompts_part
from qualiclip_metric.text.minilm import sentence_features

NATIVE = "native"
"""What `size` takes for images as they are."""
BASE = "qualiclip"
"""Where QualiCLIP+ has its encoder and its text side from."""


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
    """A metric that is ready to score.

    Args:
        model: A registered name (`lite`, `qualiclip`, `qualiclip+`; `qualiclip weights list` shows
            them all), `hf://user/name` or `hf://user/name@revision` for a model on the hub, or the
            path of a checkpoint in any format that `formats.load` reads.
        device: Where to compute; the CPU unless told.
        precision: `fp32`, the reference; `bf16`: the encoder's trunk runs in bfloat16, faster on
            GPUs and on CPUs with AVX-512 BF16 or AMX, at a deviation that the model card states;
            `auto`: bf16 where it is faster, fp32 elsewhere. The signature names the one used. The
            weights stay fp32, and so does what is computed where a gradient is asked for.
        temperature: Of the softmax; the checkpoint's own unless told.
        engine: What computes the trunk: `torch`, the reference, on any device; `openvino` (extra
            `openvino`), faster on CPUs; `auto`, openvino where it is installed and the device is
            the CPU. Gradients are always torch's.
        prompts: Antonym pairs of your own, (positive, negative), where the model's text encoder is
            at hand; the model's own pairs unless told.
        size: Shorter side in px to which larger images are reduced before they are scored, or
            `native` to score all as they are; the model's own unless told.
        check_input: Whether images are checked to be finite and in [0, 1]; see `QualiCLIP`.

    Returns:
        The metric in evaluation mode, its parameters frozen, its `signature` set. Gradients with
        respect to the image still flow.

    Raises:
        ValueError: When an argument is off, or the checkpoint is no such model.
        ImportError: When the engine, or the text encoder of given prompts, is not installed, with
            the cure.
        WeightsError: When published weights cannot be had; the message holds the cure.

    Example:
        >>> metric = create("lite")
        >>> metric(torch.rand(2, 3, 96, 128)).shape
        torch.Size([2, 1])
        >>> print(metric.signature)
        lite|weights:...|prompts:7x2|T:...|fp32|size:512|v...
    """
    chosen = device_of(device or "cpu")
    precision = choose_precision(precision, chosen)
    engine = choose_engine(engine, chosen)
    checkpoint = load(model)
    checkpoint = replace(checkpoint, scoring_size=_scoring_size(size, checkpoint.scoring_size))
    metric = from_checkpoint(checkpoint, temperature=temperature)
    own_weights = digest(metric.state_dict())[:8]
    if prompts is not None:
        metric = from_checkpoint(with_prompts(checkpoint, prompts), temperature=temperature)
    metric.check_input = check_input
    metric.signature = Signature(
        model=weights.registered_name(model)
        or weights.hub_label(model, checkpoint.file)
        or checkpoint.architecture,
        weights=own_weights,
        prompts=prompts_part(len(metric.prompts), metric.pairs if prompts is not None else ()),
        temperature=metric.temperature,
        precision=precision,
        engine=engine,
        size=metric.scoring_size,
    )
    assert isinstance(metric.encoder, Encoder)
    metric.encoder.compute_with(engine, None if precision == "fp32" else DTYPES[precision])
    metric.eval().requires_grad_(False)
    metric.to(memory_format=torch.channels_last)
    return metric.to(device)


def load(model: str | Path) -> Checkpoint:
    """The whole checkpoint of a model, fetched if it is published and not here yet.

    Args:
        model: A registered name, or a path.

    Returns:
        The checkpoint; QualiCLIP+'s learned prompts come with the encoder of `qualiclip`.

    Raises:
        ValueError: When it is neither, or the file is no such model.
        WeightsError: When published weights cannot be had.
    """
    checkpoint = formats.load(weights.resolve(model))
    if not checkpoint.encoder:
        checkpoint = checkpoint.with_base_model(formats.load(weights.resolve(BASE)))
    known = weights.published(model)
    if known is None:
        return checkpoint
    temperature = checkpoint.temperature if known.temperature is None else known.temperature
    return replace(checkpoint, licence=known.licence, temperature=temperature)


def with_prompts(checkpoint: Checkpoint, pairs: Sequence[Pair]) -> Checkpoint:
    """The same model with other antonym prompts, as its text encoder understands them.

    Args:
        checkpoint: A model whose text encoder is at hand: `lite`'s comes with an extra, CLIP's is
            in the checkpoint or nowhere.
        pairs: (positive, negative) texts.

    Returns:
        The checkpoint with the texts and their features.

    Raises:
        ValueError: When the pairs are none.
        CheckpointError: When the model's prompts are learned, or its text encoder is not at hand.
        ImportError: When the package of `lite`'s text encoder is missing, with the cure.
    """
    pairs = check_pairs(pairs)
    if checkpoint.learner:
        raise CheckpointError(
            "prompts: this model's are learned and cannot be exchanged; "
            "choose a model with written ones, such as qualiclip or lite"
        )
    features = _TEXT_ENCODERS[checkpoint.architecture](checkpoint, pairs)
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
        raise CheckpointError(f"the text side is not that of CLIP RN50 ({err})") from err


_TEXT_ENCODERS: dict[str, Callable[[Checkpoint, Sequence[Pair]], Tensor]] = {
    "lite": lambda _checkpoint, pairs: sentence_features(pairs),
    "rn50": _clip_features,
}
"""Architecture -> features of texts, (P, 2, D)."""


def from_checkpoint(checkpoint: Checkpoint, temperature: float | None = None) -> QualiCLIP:
    """The module that a checkpoint describes, in fp32 on the CPU.

    Args:
        checkpoint: The model.
        temperature: Of the softmax; the checkpoint's own unless told.

    Returns:
        The metric, without a signature.

    Raises:
        CheckpointError: When the architecture is unknown, or the tensors are not its own. The
            message names the file.
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
        for name in ("architecture", "licence", "training", "fault_pairs", "fault_prompts")
    }
    if checkpoint.fault_prompts is not None:
        metric.faults = checkpoint.faults
        metric.fault_prompts = torch.nn.functional.normalize(checkpoint.fault_prompts, dim=-1)
    return metric


def _scoring_size(size: int | str | None, own: int) -> int:
    """The scoring size that a user means; 0 for none."""
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
    """The checkpoint of a model with everything computed that its file leaves open.

    Args:
        model: As for `load`.
    """
    checkpoint = load(model)
    return to_checkpoint(from_checkpoint(checkpoint), checkpoint)


def checkpoint_of(metric: QualiCLIP) -> Checkpoint:
    """The checkpoint of a metric as it is now.

    Raises:
        ValueError: When it was put together by hand, without `create`.
    """
    if not metric.provenance:
        raise ValueError(
            "expected a metric that `create` made; one put together by hand does not say what its "
            "encoder is, save it with formats.save(Checkpoint(...), path)"
        )
    origin = Checkpoint(
        encoder={},
        prompts=None,
        pairs=metric.pairs,
        scoring_size=metric.scoring_size,
        faults=metric.faults,
        **metric.provenance,
    )
    return to_checkpoint(metric, origin)


def to_checkpoint(metric: QualiCLIP, like: Checkpoint) -> Checkpoint:
    """The tensors of a metric, with everything else of the checkpoint that it was made from.

    Args:
        metric: What was made from the checkpoint, and perhaps trained since.
        like: The checkpoint.
    """
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
    """The prompts' features where they are given; what computes them where they are not."""
    if checkpoint.prompts is not None:
        return checkpoint.prompts
    from qualiclip_metric.text.clip import CONTEXT_TOKENS, PromptLearner

    pairs = checkpoint.pairs or PROMPTS
    if not checkpoint.learner:
        return _clip_features(checkpoint, pairs)
    ctx = checkpoint.learner.get("ctx")
    context = CONTEXT_TOKENS if ctx is None or ctx.ndim != 3 else ctx.shape[1]
    learner = PromptLearner(pairs, context)
    _fill(learner, checkpoint.learner, "QualiCLIP+'s prompts")
    return learner


def _fill(module: nn.Module, given: Mapping[str, Tensor], what: str) -> None:
    """Load weights into a module; name the first keys that differ if they are not its own."""
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
