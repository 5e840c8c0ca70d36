"""Freeze a metric's values on a few known images, later say which of them moved.

torch is imported only when a score is made: the pytest plugin imports this module in every test
run of an environment.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qualiclip_metric.golden.images import IMAGES

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
TOLERANCE = 1e-4
REASON = (
    "fp32 sums differ between CPUs, thread counts and BLAS builds, far less than this in a score "
    "on [0, 1]; a changed weight, prompt or preprocessing moves it by more"
)


class GoldenError(ValueError):
    """A golden file that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Golden:
    """Frozen scores.

    Attributes:
        metric: How the metric was named when it was frozen.
        signature: What its scores depend on, ``|``-separated parts.
        tolerance: Largest difference that is no change.
        reason: Why the tolerance is what it is.
        scores: Image name -> score.
    """

    metric: str
    signature: str
    tolerance: float
    reason: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Moved:
    """One score that is not what it was."""

    image: str
    expected: float
    got: float


@dataclass(frozen=True)
class Report:
    """Outcome of a check: what moved, which parts of the signature changed.

    ``largest`` is the largest absolute difference over all images, moved or not.
    """

    golden: Golden
    moved: tuple[Moved, ...]
    largest: float
    changes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every value is within its tolerance; a changed signature alone is no failure."""
        return not self.moved

    def text(self) -> str:
        """The report, for people."""
        g = self.golden
        head = f"{g.metric}: {len(g.scores) - len(self.moved)} of {len(g.scores)} scores held"
        lines = [f"{head}, largest difference {self.largest:.2g}, tolerance {g.tolerance:g}"]
        lines += [f"  reason of the tolerance: {g.reason}"] if self.moved else []
        lines += [
            f"  {m.image}: expected {m.expected:.6g}, got {m.got:.6g} ({m.got - m.expected:+.2g})"
            for m in self.moved
        ]
        lines += [f"  signature: {change}" for change in self.changes]
        if self.moved and not self.changes:
            lines.append(
                "  the signature is the same: look at the code, the libraries or the machine"
            )
        return "\n".join(lines)


def freeze(
    metric: Callable[["Tensor"], "Tensor"],
    path: str | Path,
    *,
    name: str = "metric",
    signature: str | None = None,
    tolerance: float = TOLERANCE,
    reason: str = REASON,
    images: Sequence[str] | None = None,
) -> Golden:
    """Score the known images and write the golden file.

    Args:
        metric: (1, 3, H, W) RGB in [0, 1] -> one score.
        path: JSON file to write.
        name: How the metric is called.
        signature: What the scores depend on; default: the metric's attribute ``signature``.
        tolerance: Largest absolute difference that is no change.
        reason: Why that tolerance.
        images: Names out of :data:`IMAGES`; default: all.

    Raises:
        ValueError: A negative tolerance, an unknown image, or a score that is not finite.
    """
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of at least 0, got {tolerance}")
    golden = Golden(
        metric=name,
        signature=_signature(metric, signature),
        tolerance=tolerance,
        reason=reason,
        scores=score(metric, list(IMAGES) if images is None else images),
    )
    record = {
        "format": FORMAT,
        "metric": golden.metric,
        "signature": golden.signature,
        "tolerance": golden.tolerance,
        "reason": golden.reason,
        "scores": dict(golden.scores),
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return golden


def load(path: str | Path) -> Golden:
    """Read a golden file.

    Raises:
        GoldenError: It is missing, or not a golden file of this format.
    """
    file = Path(path)
    if not file.is_file():
        raise GoldenError(f"no golden file {file}; freeze it once and commit it")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise GoldenError(f"{file}: expected format {FORMAT}, got {record['format']}")
        return Golden(
            metric=str(record["metric"]),
            signature=str(record["signature"]),
            tolerance=float(record["tolerance"]),
            reason=str(record["reason"]),
            scores={str(k): float(v) for k, v in record["scores"].items()},
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as err:
        raise GoldenError(f"{file} is no golden file: {err!r}; freeze it again") from err


def check(
    metric: Callable[["Tensor"], "Tensor"], golden: Golden, *, signature: str | None = None
) -> Report:
    """Score the images of a golden file again and compare.

    Args:
        metric: As for :func:`freeze`.
        golden: What :func:`load` gave.
        signature: The signature now; default: the metric's attribute ``signature``.
    """
    now = score(metric, list(golden.scores))
    moved = tuple(
        Moved(image, expected, now[image])
        for image, expected in golden.scores.items()
        if not abs(now[image] - expected) <= golden.tolerance
    )
    largest = max((abs(now[image] - was) for image, was in golden.scores.items()), default=0.0)
    return Report(golden, moved, largest, changes(golden.signature, _signature(metric, signature)))


def changes(before: str, after: str) -> tuple[str, ...]:
    """Which ``|``-separated parts of a signature changed, ``key:value`` parts by their key."""
    old, new = _parts(before), _parts(after)
    texts = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if a != b:
            texts.append(f"{key} {a if a is not None else '–'} -> {b if b is not None else '–'}")
    return tuple(texts)


def score(metric: Callable[["Tensor"], "Tensor"], images: Sequence[str]) -> dict[str, float]:
    """Scores of known images, one image at a time.

    Raises:
        GoldenError: An unknown image name, or a score that is not one finite number.
    """
    import torch

    scores = {}
    for name in images:
        if name not in IMAGES:
            raise GoldenError(f"unknown image {name!r}; expected one of {', '.join(IMAGES)}")
        pixels = torch.from_numpy(IMAGES[name]().copy()).permute(2, 0, 1)
        with torch.no_grad():
            values = torch.as_tensor(metric(pixels[None].float() / 255)).flatten().tolist()
        if len(values) != 1 or not abs(values[0]) < float("inf"):
            raise GoldenError(f"{name}: expected one finite score, got {values}")
        scores[name] = float(values[0])
    return scores


def _signature(metric: object, given: str | None) -> str:
    return str(getattr(metric, "signature", "")) if given is None else given


_BARE = (
    ("version", r"v\d.*"),
    ("precision", r"(fp|bf)\d+"),
    ("engine", r"openvino"),
    ("model", r".*"),
)
"""Names of the parts that have no ``key:``, by what they look like."""


def _parts(signature: str) -> dict[str, str]:
    """``lite|weights:9f2c|v0.1.0`` -> {model: lite, weights: 9f2c, version: v0.1.0}."""
    parts: dict[str, str] = {}
    for part in signature.split("|") if signature else []:
        key, colon, value = part.partition(":")
        if not colon:
            key, value = next(name for name, form in _BARE if re.fullmatch(form, part)), part
        parts[key] = f"{parts[key]}|{value}" if key in parts else value
    return parts
