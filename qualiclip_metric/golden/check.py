"""Golden scores: freeze a metric's scores of known images, and compare with them later.

torch is imported only when a score is computed, because the pytest plugin imports this module in
each test run of an environment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualiclip_metric.files import write_text
from qualiclip_metric.golden.images import IMAGES
from qualiclip_metric.signature import Signature, changes, from_string

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
READABLE = (1, 2)
"""Formats of golden files that are read: in the first the signature was one line."""
TOLERANCE = 1e-4
REASON = (
    "fp32 sums differ between CPUs, thread counts and BLAS builds, far less than this in a score "
    "on [0, 1]; a changed weight, prompt or preprocessing moves it by more"
)


class GoldenError(ValueError):
    """A golden file or score that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Golden:
    """Frozen scores.

    Attributes:
        metric: How the metric was named when it was frozen.
        signature: What its scores depend on, part by part (:mod:`qualiclip_metric.signature`).
        tolerance: Largest difference that is no change.
        reason: Why the tolerance is what it is.
        scores: Image name -> score.
        path: The golden file; None for scores that are in no file.
    """

    metric: str
    signature: Mapping[str, Any]
    tolerance: float
    reason: str
    scores: Mapping[str, float]
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ScoreChange:
    """A score that differs from the golden one by more than the tolerance."""

    image: str
    expected: float
    got: float


@dataclass(frozen=True)
class GoldenReport:
    """Result of a check.

    Attributes:
        golden: The frozen scores.
        changed: Scores that differ by more than the tolerance.
        largest: Largest absolute difference over all images, changed or not.
        signature_changes: One text for each part of the signature that changed.
    """

    golden: Golden
    changed: tuple[ScoreChange, ...]
    largest: float
    signature_changes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every value is within its tolerance; a changed signature alone is no failure."""
        return not self.changed

    def describe(self, freeze_command: str = "") -> str:
        """Write the report for people.

        Args:
            freeze_command: Command that writes the golden file again; shown where a score changed.
        """
        g = self.golden
        name = f"{g.path} ({g.metric})" if g.path else g.metric
        head = f"{name}: {len(g.scores) - len(self.changed)} of {len(g.scores)} scores held"
        lines = [f"{head}, largest difference {self.largest:.2g}, tolerance {g.tolerance:g}"]
        lines += [f"  reason of the tolerance: {g.reason}"] if self.changed else []
        lines += [
            f"  {m.image}: expected {m.expected:.6g}, got {m.got:.6g} ({m.got - m.expected:+.2g})"
            for m in self.changed
        ]
        lines += [f"  signature: {change}" for change in self.signature_changes]
        if self.changed and not self.signature_changes:
            lines.append(
                "  the signature is the same: look at the code, the libraries or the machine"
            )
        if self.changed and freeze_command:
            lines.append(f"  if the change is meant, freeze again with: {freeze_command}")
        return "\n".join(lines)


def freeze(
    metric: Callable[["Tensor"], "Tensor"],
    path: str | Path,
    *,
    name: str = "metric",
    signature: str | Mapping[str, Any] | Signature | None = None,
    tolerance: float = TOLERANCE,
    reason: str = REASON,
    images: Sequence[str] | None = None,
) -> Golden:
    """Score the known images and write the golden file.

    Args:
        metric: (1, 3, H, W) RGB in [0, 1] -> one score.
        path: JSON file to write.
        name: How the metric is called.
        signature: What the scores depend on, as one line, by name, or as an object; default: the
            metric's attribute ``signature``.
        tolerance: Largest absolute difference that is no change.
        reason: Why that tolerance.
        images: Names out of :data:`IMAGES`; default: all.

    Returns:
        What was written.

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
        scores=score_images(metric, list(IMAGES) if images is None else images),
        path=Path(path),
    )
    record = {
        "format": FORMAT,
        "metric": golden.metric,
        "signature": dict(golden.signature),
        "tolerance": golden.tolerance,
        "reason": golden.reason,
        "scores": dict(golden.scores),
    }
    write_text(path, json.dumps(record, indent=2) + "\n")
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
        if record["format"] not in READABLE:
            raise GoldenError(f"{file}: expected format {FORMAT}, got {record['format']}")
        signature = record["signature"]
        return Golden(
            metric=str(record["metric"]),
            signature=from_string(signature) if isinstance(signature, str) else dict(signature),
            tolerance=float(record["tolerance"]),
            reason=str(record["reason"]),
            scores={str(k): float(v) for k, v in record["scores"].items()},
            path=file,
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as err:
        raise GoldenError(f"{file} is no golden file: {err!r}; freeze it again") from err


def check(
    metric: Callable[["Tensor"], "Tensor"],
    golden: Golden,
    *,
    signature: str | Mapping[str, Any] | Signature | None = None,
) -> GoldenReport:
    """Score the images of a golden file again and compare.

    Args:
        metric: As for :func:`freeze`.
        golden: What :func:`load` gave.
        signature: The signature now; default: the metric's attribute ``signature``.

    Returns:
        The changed scores and parts of the signature.

    Raises:
        GoldenError: As for :func:`score_images`.
    """
    now = score_images(metric, list(golden.scores))
    changed = tuple(
        ScoreChange(image, expected, now[image])
        for image, expected in golden.scores.items()
        if not abs(now[image] - expected) <= golden.tolerance
    )
    largest = max((abs(now[image] - was) for image, was in golden.scores.items()), default=0.0)
    now_signed = _signature(metric, signature)
    return GoldenReport(golden, changed, largest, changes(golden.signature, now_signed))


def score_images(metric: Callable[["Tensor"], "Tensor"], images: Sequence[str]) -> dict[str, float]:
    """Score known images, one at a time.

    Args:
        metric: As for :func:`freeze`.
        images: Names out of :data:`IMAGES`.

    Returns:
        Image name -> score.

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


def _signature(metric: object, given: str | Mapping[str, Any] | Signature | None) -> dict[str, Any]:
    """Parts of a given signature, or of the metric's own, as JSON can hold them."""
    found = getattr(metric, "signature", None) if given is None else given
    if isinstance(found, Signature):
        return found.as_dict()
    if isinstance(found, Mapping):
        return {
            str(name): value if isinstance(value, str | int | float) else str(value)
            for name, value in found.items()
        }
    return from_string("" if found is None else str(found))
