"""Progress of a training run, as its functions report it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qualiclip_metric.training.validation import Validation


@dataclass(frozen=True)
class Report:
    """Progress of a run.

    Attributes:
        phase: ``photos`` while photos are hashed; of an anchored run ``draws`` while crops are
            degraded, ``trunk`` while the trunk is fine-tuned, ``features`` while features are
            computed, and ``diagnosis`` while versions of whole photos are; ``training``, or
            ``validation``.
        step: Photos, draws, steps or photos done.
        total: Of how many.
        losses: The weighted losses of a training step, and their ``total``.
        learning_rate: Largest of the step, over the groups of parameters.
        gradient_norm: L2 norm of the gradient, before clipping.
        crops_per_second: Of all processes together.
        validation: After a training step that was validated.
    """

    phase: str
    step: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    crops_per_second: float = 0.0
    validation: "Validation | None" = None

    def scalars(self) -> dict[str, float]:
        """The figures of a training step, as TensorBoard shows them."""
        values = {f"loss/{name}": value for name, value in self.losses.items()}
        values["optimizer/learning_rate"] = self.learning_rate
        values["optimizer/gradient_norm"] = self.gradient_norm
        values["throughput/crops_per_second"] = self.crops_per_second
        if self.validation is not None:
            values["validation/mean"] = self.validation.mean
            values["validation/consistency_gap"] = self.validation.consistency_gap
            values |= {f"ordered/{k}": share for k, share in self.validation.ordered.items()}
        return values


Notify = Callable[[Report], None]


def ignore(_report: Report) -> None:
    """Stand in for a function that nobody gave."""
