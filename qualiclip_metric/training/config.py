"""Settings of a training run: one frozen dataclass per objective, from and to TOML."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from qualiclip_metric.distortions import DISTORTIONS

if TYPE_CHECKING:
    from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Number = TypeVar("Number", int, float)


def within(low: float, high: float, default: Number) -> Number:
    """Default of a setting, and the range that `Settings` checks."""
    return field(default=default, metadata={"range": (low, high)})


def one_of(*choices: str) -> str:
    """Values of a setting, the default first."""
    return field(default=choices[0], metadata={"choices": choices})


def no_types() -> tuple[str, ...]:
    """Default of a setting that lists distortion types, whose names `Settings` checks."""
    return field(default=(), metadata={"types": True})


@dataclass(frozen=True)
class Settings:
    """Base of the dataclasses of settings: plain values and TOML, checked on the way in."""

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Name that a checkpoint may still hold -> today's name."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, checks = getattr(self, one.name), one.metadata
            if "range" in checks:
                low, high = checks["range"]
                if not low <= value <= high:  # nor is NaN within
                    raise ValueError(f"{one.name}: expected {low:g} to {high:g}, got {value!r}")
            if "choices" in checks and value not in checks["choices"]:
                expected = " or ".join(map(repr, checks["choices"]))
                raise ValueError(f"{one.name}: expected {expected}, got {value!r}")
            if "types" in checks and (unknown := sorted(set(value) - set(DISTORTIONS))):
                raise ValueError(
                    f"{one.name}: unknown distortion types {unknown}; known: {list(DISTORTIONS)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as TOML and JSON hold them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Self":
        """Build the settings from plain values; ValueError for a wrong key, type or range."""
        known = {one.name: one.default for one in fields(cls)}
        raw = {cls.RENAMED.get(name, name): value for name, value in raw.items()}
        if unknown := sorted(raw.keys() - known.keys()):
            raise ValueError(f"unknown training keys: {unknown}; known: {sorted(known)}")
        return cls(**{name: _typed(name, value, known[name]) for name, value in raw.items()})


def read_settings(path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read plain values from a TOML file (or none) and ``key=value`` overrides; or ValueError."""
    raw: dict[str, Any] = {}
    try:
        if path is not None:
            raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise ValueError(f"{path}: cannot be read as TOML ({err})") from err
    for override in overrides:
        raw.update(_override(override))
    return raw


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of a ranking run; the defaults are the paper's as far as they are known.

    Attributes:
        model: Architecture to train, a key of `encoders.ENCODERS`.
        seed: All random numbers follow from it and from the number of the draw.
        steps: Optimiser steps.
        batch_size: Photos per step and process; each gives 2 crops x `levels`.
        crop_size: Side of the square crops, px.
        overlap: Smallest share of a crop that the other crop of the pair must cover, 0 to 1.
        min_scale: Photos are downscaled by a factor drawn from [min_scale, 1] before cropping,
            never below the crop's size.
        levels: Levels of the ladder, 2 to 5.
        max_distortions: Types composed in one ladder, drawn uniformly from 1 to this number, from
            distinct groups.
        include_pristine: Whether the undistorted crop is added to the ladder as its mildest level.
        exclude: Distortion types left out of training; validation reports them as unseen.
        learning_rate: Of the projection (`lite`) or of the whole image encoder (`rn50`).
        trunk_learning_rate: Of the trunk of `lite`; 0 freezes it at ImageNet's weights.
        frozen_blocks: Leading blocks of `lite`'s trunk that are frozen in any case.
        weight_decay: Of AdamW, on weights but not on biases.
        warmup: Share of the steps over which the learning rate rises linearly; it then falls along
            half a cosine and is 0 at the last step.
        clip_norm: Largest norm of the gradient; 0 disables clipping.
        logit_scale: Stored in the checkpoint with `temperature`; the losses use plain cosines.
        temperature: Of the softmax at scoring.
        margin_consistency: Of the consistency loss.
        margin_rank: Of the positive and negative ranking losses.
        weight_consistency: Of the consistency loss, both prompts.
        weight_positive: Of the positive ranking loss.
        weight_negative: Of the negative ranking loss.
        reduction: ``sum`` or ``mean`` over the hinges of one photo.
        cross_crop: Whether ranking compares levels of different crops too.
        precision: Of the forward and backward pass; weights and losses stay fp32.
        workers: Processes that read, crop and, on a CPU, degrade.
        validate_share: Share of the photos held out for validation, by a hash of their contents.
        validate_every: Steps between validations; the last step is always validated.
        checkpoint_every: Steps between resumable checkpoints.
    """

    model: str = one_of("lite", "rn50")
    seed: int = 27
    steps: int = within(1, 10**9, 1000)
    batch_size: int = within(1, 10**6, 16)
    crop_size: int = within(32, 4096, 224)
    overlap: float = within(0, 1, 0.25)
    min_scale: float = within(0.05, 1, 1.0)
    levels: int = within(2, 5, 5)
    max_distortions: int = within(1, 3, 1)
    include_pristine: bool = False
    exclude: tuple[str, ...] = no_types()
    learning_rate: float = within(0, 10, 1e-9)
    trunk_learning_rate: float = within(0, 10, 0.0)
    frozen_blocks: int = within(0, 100, 0)
    weight_decay: float = within(0, 10, 1e-2)
    warmup: float = within(0, 1, 0.0)
    clip_norm: float = within(0, 10**9, 0.0)
    logit_scale: float = within(1e-6, 10**6, 100.0)
    temperature: float = within(1e-6, 10**6, 2.0)
    margin_consistency: float = within(0, 2, 2.5e-3)
    margin_rank: float = within(0, 2, 6.75e-2)
    weight_consistency: float = within(0, 10**6, 1.0)
    weight_positive: float = within(0, 10**6, 1.0)
    weight_negative: float = within(0, 10**6, 1.0)
    reduction: str = one_of("sum", "mean")
    cross_crop: bool = True
    precision: str = one_of("bf16", "fp32")
    workers: int = within(0, 1024, 2)
    validate_share: float = within(0, 0.9, 0.05)
    validate_every: int = within(1, 10**9, 200)
    checkpoint_every: int = within(1, 10**9, 200)

    def __post_init__(self) -> None:
        super().__post_init__()
        left = [d for d in DISTORTIONS.values() if d.name not in self.exclude]
        if not left:
            raise ValueError("exclude: at least one distortion type must be left to train on")
        if len({d.group for d in left}) < self.max_distortions:
            raise ValueError("max_distortions: more than the groups that `exclude` leaves")


def _override(text: str) -> dict[str, Any]:
    key, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"--set: expected key=value, got {text!r}")
    name = key.strip()
    try:
        parsed = tomllib.loads(f"{name} = {value}")
    except tomllib.TOMLDecodeError:
        return {name: value.strip()}  # a bare word is a string
    except RecursionError as err:
        raise ValueError(f"--set: {name} is nested too deeply") from err
    if list(parsed) != [name]:
        raise ValueError(f"--set: expected one key=value, got {text!r}")
    return parsed


def _typed(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise ValueError(f'{key}: expected a list of names such as ["jpeg"], got {value!r}')
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ValueError(
            f"{key}: expected {type(default).__name__}, got {type(value).__name__} {value!r}"
        )
    return value
