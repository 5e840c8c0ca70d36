"""From ``--metric`` text to something that scores images, with its direction and signature.

Knows the ways to name a metric; knows no dataset. Nothing is built before it is asked for, so a
metric that cannot be built here costs one row in a table and no more.

Forms: ``lite``, ``qualiclip``, a checkpoint path, ``sharpness``, ``jpegsize``, ``pyiqa:NAME``,
``module:function``, ``table:FILE.csv``; options follow as ``,key=value``.
"""

import hashlib
import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.metrics import baselines

Options = dict[str, Any]
MODELS = ("lite", "qualiclip")
BASELINES: dict[str, Callable[[Tensor], Tensor]] = {
    "sharpness": baselines.sharpness,
    "jpegsize": baselines.jpegsize,
}


class MetricError(ValueError):
    """A metric that cannot be had here; the text says why."""


@dataclass(frozen=True)
class Scorer:
    """A metric ready to score.

    Attributes:
        name: Name in tables.
        signature: All that its numbers depend on.
        lower_is_better: Its declared direction.
        score: (N, 3, H, W) RGB in [0, 1] -> (N,) raw scores. None for a table.
        batched: Several same-size images may go in at once without a change of their scores.
        device: Where the batches go.
        table: Published scores by image name, instead of ``score``.
        differentiable: The same scores with their gradient to the images; None where there is none.
    """

    name: str
    signature: str
    lower_is_better: bool
    score: Callable[[Tensor], Tensor] | None
    batched: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    table: dict[str, float] | None = None
    differentiable: Callable[[Tensor], Tensor] | None = None


def parse(text: str) -> tuple[str, Options]:
    """Split ``pyiqa:niqe,crop_border=4`` into the name and its options.

    Values are read as JSON where they can be (numbers, true, null), else as text.

    Raises:
        MetricError: Empty name or an option without ``=``.
    """
    name, *parts = text.split(",")
    options: Options = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise MetricError(f"metric {text!r}: expected ,key=value, got ,{part}")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = value
    if not name:
        raise MetricError(f"metric {text!r} has no name")
    return name, options


def display_name(text: str) -> str:
    """The name in tables: the metric without its options; a checkpoint without its folder."""
    name, _ = parse(text)
    if ":" in name or name in MODELS or name in BASELINES:
        return name
    return Path(name).name


def build(text: str, *, device: str | None = None, precision: str = "fp32") -> Scorer:
    """Make a scorer.

    Args:
        text: What ``--metric`` says; see the module's docstring.
        device: torch device; None takes CUDA if there is one (for models that use it).
        precision: ``fp32`` or ``bf16``, for this package's own models.

    Raises:
        MetricError: It cannot be built here: unknown name, weights out of reach, wrong kind.
    """
    name, options = parse(text)
    kind, colon, rest = name.partition(":")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        if name in BASELINES:
            return _baseline(name, options)
        if colon and kind == "pyiqa":
            from benchmarks.metrics.pyiqa import build_pyiqa

            return build_pyiqa(rest, options, place)
        if colon and kind == "table":
            return _table(name, Path(rest), options)
        if colon and not Path(name).exists():
            return _callable(name, kind, rest, options, place)
        return _own(name, options, place, precision)
    except MetricError:
        raise
    except Exception as err:  # whatever a third party's constructor throws is one row, not the end
        reason = str(err).strip() or type(err).__name__
        raise MetricError(f"{name}: {reason.splitlines()[0][:300]}") from err


def file_digest(path: Path) -> str:
    """First eight hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()[:8]
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(file.read()).hexdigest()[:8]
        )


def describe(options: Options) -> str:
    """Options as signature parts; a file is named by its digest, not by its place."""
    parts = []
    for key, value in sorted(options.items()):
        is_file = isinstance(value, str) and Path(value).is_file()
        parts.append(f"|{key}:{file_digest(Path(value)) if is_file else value}")
    return "".join(parts)


def _own(name: str, options: Options, device: torch.device, precision: str) -> Scorer:
    """This package's models and checkpoints."""
    if name not in MODELS and not Path(name).exists():
        raise MetricError(
            f"unknown metric {name!r}; expected {', '.join(MODELS)}, a checkpoint's path, "
            f"{', '.join(BASELINES)}, pyiqa:NAME, module:function or table:FILE.csv"
        )
    from qualiclip_metric import create

    model = create(name, device=device, precision=precision, **options)

    def score(images: Tensor) -> Tensor:
        with torch.inference_mode():
            scores: Tensor = model(images)
        return scores.flatten()

    def differentiable(images: Tensor) -> Tensor:
        scores: Tensor = model(images)
        return scores.flatten()

    return Scorer(
        display_name(name), str(model.signature), False, score,
        device=device, differentiable=differentiable,
    )  # fmt: skip


def _baseline(name: str, options: Options) -> Scorer:
    if options:
        raise MetricError(f"{name} takes no options, got {', '.join(options)}")
    constant = f"|jpeg:{baselines.JPEG_QUALITY}" if name == "jpegsize" else ""
    gradient = baselines.sharpness if name == "sharpness" else None
    return Scorer(name, f"{name}{constant}|v1", False, BASELINES[name], differentiable=gradient)


def _callable(
    name: str, module: str, function: str, options: Options, device: torch.device
) -> Scorer:
    """A user's own function; direction and version from its attributes or the options."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as err:
        raise MetricError(f"{name}: cannot import {function} from {module}: {err}") from err
    lower = bool(options.pop("lower_is_better", getattr(found, "lower_is_better", False)))
    batched = bool(options.pop("batched", getattr(found, "batched", True)))
    signature = str(getattr(found, "signature", "")) or f"{name}|{_source_digest(found)}"

    def score(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.as_tensor(found(images, **options)).flatten()

    return Scorer(name, f"{signature}{describe(options)}", lower, score, batched, device)


def _source_digest(function: Callable[..., object]) -> str:
    """Digest of the file that defines a function, so that an edited metric is a new metric."""
    import inspect

    try:
        return f"source:{file_digest(Path(inspect.getfile(function)))}"
    except (TypeError, OSError):
        try:
            return f"source:{file_digest(Path(inspect.getfile(type(function))))}"
        except (TypeError, OSError):
            return "source:unknown"


def _table(name: str, path: Path, options: Options) -> Scorer:
    """Published predictions: columns ``image`` (name, or its last part) and ``score``."""
    if not path.is_file():
        raise MetricError(f"{name}: no file {path}")
    image, score = str(options.pop("image", "image")), str(options.pop("score", "score"))
    lower = bool(options.pop("lower_is_better", False))
    if options:
        raise MetricError(
            f"{name}: unknown option(s) {', '.join(options)}; expected image, score, "
            "lower_is_better"
        )
    frame = pd.read_csv(path)
    lacking = [column for column in (image, score) if column not in frame]
    if lacking:
        raise MetricError(
            f"{name}: no column {', '.join(lacking)} in {path}; found {', '.join(frame.columns)}"
        )
    names = frame[image].astype(str)
    if names.duplicated().any():
        raise MetricError(f"{name}: {path} lists {names[names.duplicated()].iloc[0]} twice")
    scores = pd.to_numeric(frame[score], errors="coerce").astype(float)
    table = dict(zip(names.tolist(), scores.tolist(), strict=True))
    signature = f"table:{path.name}|sha256:{file_digest(path)}|score:{score}"
    return Scorer(f"table:{path.name}", signature, lower, None, table=table)
