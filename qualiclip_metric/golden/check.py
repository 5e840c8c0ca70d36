"""Golden scores: freeze a metric's scores of known images, and compare with them later.

torch is imported only when a score is computed: the pytest plugin imports this module in every run.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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

Metric = Callable[["Tensor"], "Tensor"]
"""(1, 3, H, W) RGB in [0, 1] -> one score."""
AnySignature = str | Mapping[str, Any] | Signature
"""Of the scores: one line, parts by name, or an object."""


class GoldenError(ValueError):
    """A golden file or score that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Golden:
    """Frozen scores."""

    metric: str  # its name when it was frozen
    signature: Mapping[str, Any]  # by part, as in `qualiclip_metric.signature`
    tolerance: float  # largest difference that is no change
    reason: str  # of the tolerance
    scores: Mapping[str, float]  # by name of the image
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ScoreChange:
    """A score that differs from the golden one by more than the tolerance."""

    image: str
    expected: float
    got: float


@dataclass(frozen=True)
class GoldenReport:
    """Result of a check."""

    golden: Golden
    changed: tuple[ScoreChange, ...]
    largest: float  # absolute difference over all images, changed or not
    signature_changes: tuple[str, ...]  # a text for each part that changed

    @property
    def ok(self) -> bool:
        """Whether every value is within its tolerance; a changed signature alone is no failure."""
        return not self.changed

    def describe(self, freeze_command: str = "") -> str:
        """Write the report for people; a changed score shows the command that freezes again."""
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
    metric: Metric,
    path: str | Path,
    *,
    name: str = "metric",
    signature: AnySignature | None = None,
    tolerance: float = TOLERANCE,
    reason: str = REASON,
    images: Sequence[str] | None = None,
) -> Golden:
    """Score the known images, and write the golden file.

    Args:
        metric: (1, 3, H, W) RGB in [0, 1] -> one score.
        path: JSON file to write.
        name: How the metric is called.
        signature: Of the scores; default: the metric's attribute `signature`.
        tolerance: Largest absolute difference that is no change.
        reason: Why that tolerance.
        images: Names out of `IMAGES`; default: all.

    Raises:
        ValueError: A negative tolerance, an unknown image, or a score that is not finite.
    """
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of at least 0, got {tolerance}")
    scores = score_images(metric, list(IMAGES) if images is None else images)
    parts = _signature(metric, signature)
    golden = Golden(name, parts, tolerance, reason, scores, Path(path))
    record = {"format": FORMAT, **asdict(golden)}
    del record["path"]
    write_text(path, json.dumps(record, indent=2) + "\n")
    return golden


def load(path: str | Path) -> Golden:
    """Read a golden file; GoldenError if it is missing, or of another format."""
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


def check(metric: Metric, golden: Golden, *, signature: AnySignature | None = None) -> GoldenReport:
    """Score the images of a golden file again, and compare.

    `signature` is the present one; default: the metric's attribute `signature`. Raises GoldenError
    as `score_images` does.
    """
    now = score_images(metric, list(golden.scores))
    changed = tuple(
        ScoreChange(image, expected, now[image])
        for image, expected in golden.scores.items()
        if not abs(now[image] - expected) <= golden.tolerance
    )
    largest = max((abs(now[image] - was) for image, was in golden.scores.items()), default=0.0)
    parts = _signature(metric, signature)
    return GoldenReport(golden, changed, largest, changes(golden.signature, parts))


def score_images(metric: Metric, images: Sequence[str]) -> dict[str, float]:
    """Score known images, one at a time: name out of `IMAGES` -> score.

    Raises GoldenError for an unknown name, and for a score that is not one finite number.
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


def _signature(metric: object, given: AnySignature | None) -> dict[str, Any]:
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
