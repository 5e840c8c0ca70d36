"""The tensorboard log of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qualiclip_metric.training.validation import Validation


class TensorboardLog:
    """Losses and validations as scalars over the step; a context manager.

    Args:
        folder: Where to write; None writes nothing, as all processes but the main one should.

    Raises:
        ImportError: When tensorboard is missing, with the cure.
    """

    def __init__(self, folder: Path | None) -> None:
        self.writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as err:
            raise ImportError(
                "the training log needs tensorboard: pip install 'qualiclip-metric[train]'"
            ) from err
        self.writer = SummaryWriter(folder)

    def __enter__(self) -> "TensorboardLog":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, step: int, losses: Mapping[str, float], validation: Validation | None) -> None:
        """Add the scalars of one step.

        Args:
            step: Steps done.
            losses: By name.
            validation: Of this step, if there was one.
        """
        if self.writer is None:
            return
        scalars = {f"loss/{name}": value for name, value in losses.items()}
        if validation is not None:
            scalars["validation/mean"] = validation.mean
            scalars["validation/consistency_gap"] = validation.consistency_gap
            scalars |= {f"ordered/{name}": share for name, share in validation.ordered.items()}
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, step)
