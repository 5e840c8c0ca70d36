"""Scorer: a metric ready to score, with its direction and signature; errors, options, digests."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Options = dict[str, Any]


class MetricError(ValueError):
    """A metric cannot be built or run; the text gives the reason."""


@dataclass(frozen=True)
class Scorer:
    """A metric ready to score."""

    name: str
    signature: str  # everything that its scores depend on
    lower_is_better: bool  # its declared direction
    # (N, 3, H, W) RGB in [0, 1] -> (N,) raw scores. None for a table
    score: Callable[[Tensor], Tensor] | None
    # several same-size images may go in at once without a change of their scores
    batched: bool = True
    # where the batches go
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    table: dict[str, float] | None = None  # published scores by image name, instead of ``score``
    # the same scores with their gradient to the images; None where they have no gradient
    differentiable: Callable[[Tensor], Tensor] | None = None

    @property
    def sign(self) -> float:
        """Factor that turns raw scores so that higher is better: 1, or -1."""
        return -1.0 if self.lower_is_better else 1.0

    def score_image(self, image: Tensor) -> float:
        """Compute the raw score of one image, (1, 3, H, W) RGB in [0, 1] on any device."""
        return float(self.require_score()(image.to(self.device)).flatten()[0])

    def require_score(self) -> Callable[[Tensor], Tensor]:
        """Return `score`; MetricError for a table, which has the scores of its own images alone."""
        if self.score is None:
            raise MetricError(
                f"{self.name}: expected a metric that computes scores of new images, got a table; "
                "name the metric itself, such as pyiqa:NAME"
            )
        return self.score


def file_digest(path: Path) -> str:
    """First eight hex digits of a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:8]


def options_signature(options: Options) -> str:
    """Options as parts of a signature; a file is named by its digest, not by its path."""
    parts = []
    for key, value in sorted(options.items()):
        is_file = isinstance(value, str) and Path(value).is_file()
        parts.append(f"|{key}:{file_digest(Path(value)) if is_file else value}")
    return "".join(parts)
