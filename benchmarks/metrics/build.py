"""From ``--metric`` text to a scorer, with its direction and signature.

A metric that cannot be built raises MetricError; a run reports it and goes on with the others.

Forms: ``lite``, ``qualiclip``, a checkpoint path, ``sharpness``, ``jpegsize``, ``pyiqa:NAME``,
``module:function``, ``table:FILE.csv``; options follow as ``,key=value``.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.datasets.labels import read_csv
from benchmarks.metrics import baselines
from benchmarks.metrics.pyiqa import build_pyiqa
from benchmarks.metrics.scorer import MetricError, Options, Scorer, file_digest, options_signature
from qualiclip_metric.engines import device_of

MODELS = ("lite", "qualiclip")
BASELINES: dict[str, Callable[[Tensor], Tensor]] = {
    "sharpness": baselines.sharpness,
    "jpegsize": baselines.jpegsize,
}


def parse_metric(text: str) -> tuple[str, Options]:
    """Split ``pyiqa:niqe,crop_border=4`` into the name and its options.

    A value is read as JSON where it is valid JSON (numbers, true, null), else as text.
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
    name, _ = parse_metric(text)
    if ":" in name or name in MODELS or name in BASELINES:
        return name
    return Path(name).name


def build_scorer(text: str, *, device: str | None = None, precision: str = "fp32") -> Scorer:
    """Build the scorer that a ``--metric`` text names; the module's docstring lists the forms.

    ``device`` None takes CUDA if there is one; ``precision`` applies to this package's own models.
    """
    name, options = parse_metric(text)
    kind, colon, rest = name.partition(":")
    target = device_of(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        if name in BASELINES:
            return _baseline(name, options)
        if colon and kind == "pyiqa":
            return build_pyiqa(rest, options, target)
        if colon and kind == "table":
            return _table(name, Path(rest), options)
        if colon and not Path(name).exists():
            return _callable(name, kind, rest, options, target)
        return _own(name, options, target, precision)
    except MetricError:
        raise
    except Exception as err:  # a third party's constructor may raise anything; the run goes on
        reason = str(err).strip() or type(err).__name__
        raise MetricError(f"{name}: {reason.splitlines()[0][:300]}") from err


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

    return Scorer(name, f"{signature}{options_signature(options)}", lower, score, batched, device)


def _source_digest(function: Callable[..., object]) -> str:
    """Digest of the file that defines a function, so that an edited metric is a new metric."""
    for source in (function, type(function)):
        try:
            return f"source:{file_digest(Path(inspect.getfile(source)))}"
        except (TypeError, OSError):
            continue
    return "source:unknown"


def _table(name: str, path: Path, options: Options) -> Scorer:
    """Published predictions: columns ``image`` (name, or its last part) and ``score``."""
    image, score = str(options.pop("image", "image")), str(options.pop("score", "score"))
    lower = bool(options.pop("lower_is_better", False))
    if options:
        raise MetricError(
            f"{name}: unknown option(s) {', '.join(options)}; expected image, score, "
            "lower_is_better"
        )
    frame = read_csv(path, (image, score))
    names = frame[image].astype(str)
    if names.duplicated().any():
        raise MetricError(f"{name}: {path} lists {names[names.duplicated()].iloc[0]} twice")
    scores = pd.to_numeric(frame[score], errors="coerce").astype(float)
    table = dict(zip(names.tolist(), scores.tolist(), strict=True))
    signature = f"table:{path.name}|sha256:{file_digest(path)}|score:{score}"
    return Scorer(f"table:{path.name}", signature, lower, None, table=table)
