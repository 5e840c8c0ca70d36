"""Every setting of a training run, as one frozen dataclass, from and to TOML."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from qualiclip_metric.distortions import DISTORTIONS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHOICES: Mapping[str, tuple[str, ...]] = {
    "model": ("lite", "rn50"),
    "reduction": ("sum", "mean"),
    "precision": ("bf16", "fp32"),
    "anchor": ("none", "mdsi"),
}


class Settings:
    """What turns a frozen dataclass into plain values, and TOML into a frozen dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as TOML and JSON know them."""
        values = asdict(cast("DataclassInstance", self))
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Self":
        """From plain values.

        Args:
            raw: Values by name; what is missing keeps its default.

        Returns:
            The settings.

        Raises:
            ValueError: For an unknown key, a value of another type, or one out of range.
        """
        known = {f.name: f for f in fields(cast("type[DataclassInstance]", cls))}
        if unknown := sorted(raw.keys() - known.keys()):
            raise ValueError(f"unknown training keys: {unknown}; known: {sorted(known)}")
        return cls(**{k: _typed(k, v, known[k].default) for k, v in raw.items()})

    @classmethod
    def read(cls, path: str | Path | None, overrides: Sequence[str] = ()) -> "Self":
        """From a TOML file and overrides.

        Args:
            path: TOML file, or None for the defaults.
            overrides: ``key=value``, whose values are TOML too; they win over the file.

        Returns:
            The settings.

        Raises:
            ValueError: As for `from_dict`, or when the file or an override is no TOML.
        """
        return cls.from_dict(read_settings(path, overrides))


def read_settings(path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Plain values from a TOML file and ``key=value`` overrides, whose values are TOML too.

    Args:
        path: File, or None for the overrides alone.
        overrides: As typed.

    Raises:
        ValueError: When the file or an override is no TOML.
    """
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
    """Settings of a run; docs/guide/train.md says which defaults are known to be the paper's.

    Attributes:
        model: Architecture to train, a key of `encoders.ENCODERS`.
        seed: Everything random follows from it and from the number of the photo drawn.
        steps: Optimiser steps.
        batch_size: Photos per step and process; each gives 2 crops x `levels`.
        draws: Where the trunk does not learn: how many photos are drawn, degraded and put through
            the trunk in all; steps then sample from their features. 0 draws anew for every step.
        head_batch_size: Draws per step and process when steps sample from features.
        crop_size: Side of the square crops, px.
        overlap: Smallest share of a crop that the other crop of the pair must cover, 0 to 1.
        min_scale: Photos are downscaled by a factor drawn from [min_scale, 1] before cropping,
            never below the crop's size.
        levels: Levels of the ladder, 2 to 5.
        max_distortions: Types composed in one ladder, drawn uniformly from 1 to this number, from
            distinct groups.
        include_pristine: Whether the undistorted crop stands in the ladder as its mildest level.
        exclude: Distortion types left out of training; validation reports them as unseen.
        learning_rate: Of the projection (`lite`) or of the whole image encoder (`rn50`).
        trunk_learning_rate: Of the trunk of `lite`; 0 leaves it as it is on ImageNet.
        frozen_blocks: Leading blocks of `lite`'s trunk that stay as they are.
        weight_decay: Of AdamW, on weights but not on biases.
        warmup: Share of the steps over which the learning rate rises linearly; it then falls to 0
            along a cosine.
        clip_norm: Largest norm of the gradient; 0 clips nothing.
        logit_scale: Stored in the checkpoint with `temperature`; the losses do not see them.
        temperature: Of the softmax at scoring.
        margin_consistency: Of the consistency loss.
        margin_rank: Of the positive and negative ranking losses.
        weight_consistency: Of the consistency loss, both prompts.
        weight_positive: Of the positive ranking loss.
        weight_negative: Of the negative ranking loss.
        reduction: ``sum`` or ``mean`` over the hinges of one photo.
        cross_crop: Whether ranking compares levels of different crops too.
        anchor: Full-reference score that orders crops across types and contents; ``none`` is the
            paper's method.
        weight_anchor: Of the anchor's ranking losses.
        margin_anchor: Of the anchor's ranking losses.
        gap_anchor: Crops whose anchor scores are closer than this are not compared.
        precision: Of the forward and backward pass; weights and losses stay fp32.
        workers: Processes that read, crop and, on a CPU, degrade.
        validate_share: Share of the photos held out for validation, by a hash of their contents.
        validate_every: Steps between validations; the last step is always validated.
        checkpoint_every: Steps between resumable checkpoints.
    """

    model: str = "lite"
    seed: int = 27
    steps: int = 1000
    batch_size: int = 16
    draws: int = 0
    head_batch_size: int = 64
    crop_size: int = 224
    overlap: float = 0.25
    min_scale: float = 1.0
    levels: int = 5
    max_distortions: int = 1
    include_pristine: bool = False
    exclude: tuple[str, ...] = ()
    learning_rate: float = 1e-9
    trunk_learning_rate: float = 0.0
    frozen_blocks: int = 0
    weight_decay: float = 1e-2
    warmup: float = 0.0
    clip_norm: float = 0.0
    logit_scale: float = 100.0
    temperature: float = 2.0
    margin_consistency: float = 2.5e-3
    margin_rank: float = 6.75e-2
    weight_consistency: float = 1.0
    weight_positive: float = 1.0
    weight_negative: float = 1.0
    reduction: str = "sum"
    cross_crop: bool = True
    anchor: str = "none"
    weight_anchor: float = 0.0
    margin_anchor: float = 0.02
    gap_anchor: float = 0.02
    precision: str = "bf16"
    workers: int = 2
    validate_share: float = 0.05
    validate_every: int = 200
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {allowed}, got {getattr(self, name)!r}")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name}: expected {low:g} to {high:g}, got {getattr(self, name)!r}"
                )
        if self.draws and (self.model != "lite" or self.trunk_learning_rate > 0):
            raise ValueError(
                "draws: features are computed once only where the trunk does not learn: "
                "set draws = 0, or model = 'lite' and trunk_learning_rate = 0"
            )
        if unknown := sorted(set(self.exclude) - set(DISTORTIONS)):
            raise ValueError(
                f"exclude: unknown distortion types {unknown}; known: {list(DISTORTIONS)}"
            )
        if set(self.exclude) >= set(DISTORTIONS):
            raise ValueError("exclude: at least one distortion type must be left to train on")
        if self.max_distortions > 1 and self.exclude and self._groups_left() < self.max_distortions:
            raise ValueError("max_distortions: more than the groups that `exclude` leaves")

    def _groups_left(self) -> int:
        return len({d.group for d in DISTORTIONS.values() if d.name not in self.exclude})


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("steps", 1, 10**9),
    ("batch_size", 1, 10**6),
    ("draws", 0, 10**9),
    ("head_batch_size", 1, 10**6),
    ("crop_size", 32, 4096),
    ("overlap", 0, 1),
    ("min_scale", 0.05, 1),
    ("levels", 2, 5),
    ("max_distortions", 1, 3),
    ("learning_rate", 0, 10),
    ("trunk_learning_rate", 0, 10),
    ("frozen_blocks", 0, 100),
    ("weight_decay", 0, 10),
    ("warmup", 0, 1),
    ("clip_norm", 0, 10**9),
    ("logit_scale", 1e-6, 10**6),
    ("temperature", 1e-6, 10**6),
    ("weight_consistency", 0, 10**6),
    ("weight_positive", 0, 10**6),
    ("weight_negative", 0, 10**6),
    ("weight_anchor", 0, 10**6),
    ("margin_consistency", 0, 2),
    ("margin_rank", 0, 2),
    ("margin_anchor", 0, 2),
    ("gap_anchor", 0, 10**6),
    ("workers", 0, 1024),
    ("validate_share", 0, 0.9),
    ("validate_every", 1, 10**9),
    ("checkpoint_every", 1, 10**9),
)


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
