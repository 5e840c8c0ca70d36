"""QualiCLIP as a torchmetrics metric: one score over the batches and processes of an evaluation."""

from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from qualiclip_metric.build import create
from qualiclip_metric.extras import require
from qualiclip_metric.input_check import check_shape, check_values
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.signature import Signature

require("torchmetrics", "torchmetrics", "QualiCLIPScore")
from torchmetrics import Metric  # noqa: E402
from torchmetrics.utilities import dim_zero_cat  # noqa: E402

Reduction = Literal["mean", "none"]
NO_IMAGES = "expected at least one image, got none; call update(img) before compute()"


class QualiCLIPScore(Metric):
    """Quality of the images that a model gives, over a whole evaluation.

    `update(img)` adds a batch, `compute()` gives the score of all images since the last `reset()`,
    those of the other processes included where `torch.distributed` is at work. Calling the metric
    adds the batch, too, and gives the score of that batch alone, differentiable with respect to
    its images; it can serve as a term of a loss.

    Args:
        model: As for `create`: a registered name, `hf://user/name` or a path; or a frozen metric in
            evaluation mode, as `create` makes it, for a device, precision or prompts of your own.
        reduction: `mean`: one score, the mean over images, so that batches of different sizes and
            uneven processes weigh each image alike; `none`: a score per image, (N,), in the order
            of the updates, the images of process 0 first.
        kwargs: Options of every torchmetrics metric, such as `dist_sync_on_step` and
            `process_group`.

    Raises:
        ValueError: When an argument is off, or the model is in training mode or not frozen.
        WeightsError: When published weights cannot be had; the message holds the cure.

    Example:
        >>> metric = QualiCLIPScore("lite")
        >>> for _ in range(3):
        ...     metric.update(torch.rand(2, 3, 96, 128))
        >>> metric.compute().shape, metric.images
        (torch.Size([]), tensor(6))
    """

    higher_is_better = True
    is_differentiable = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Image"

    total: Tensor
    images: Tensor
    scores: list[Tensor]

    def __init__(
        self, model: QualiCLIP | str | Path = "lite", reduction: Reduction = "mean", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _check_reduction(reduction)
        self.reduction = reduction
        self.model = _frozen(model) if isinstance(model, QualiCLIP) else create(model)
        if reduction == "mean":
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")
        else:
            self.add_state("scores", [], dist_reduce_fx="cat")
        self.to(self.model.device)

    @property
    def signature(self) -> Signature | None:
        """What the scores depend on; quote it with them. None for a model put together by hand."""
        return self.model.signature

    def train(self, mode: bool = True) -> "QualiCLIPScore":
        """Set the mode of the metric as of any module; its model stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def update(self, img: Tensor) -> None:
        """Add the scores of a batch. No gradient is kept.

        Args:
            img: RGB in [0, 1], (N, 3, H, W), at least 32 pixels on each side, any float dtype: half
                precision is converted to the model's fp32 before anything is computed.

        Raises:
            ValueError: When the shape, the size, the type or a value is not as above. Nothing of
                the batch is counted then.
        """
        scores = self.model(img)[:, 0]
        if self.reduction == "mean":
            self.total = self.total + scores.sum()
            self.images = self.images + len(scores)
        else:
            self.scores.append(scores)

    def compute(self) -> Tensor:
        """Score of all images since the last reset, of all processes.

        Returns:
            In [0, 1], higher is better, in the model's fp32: a scalar, or (N,) for `none`, of which
            torchmetrics makes a scalar where N is 1.

        Raises:
            ValueError: When no process has an image.
        """
        if self.reduction == "mean":
            if not self.images:
                raise ValueError(NO_IMAGES)
            return self.total / self.images
        if not len(self.scores) or not (scores := dim_zero_cat(self.scores)).numel():
            raise ValueError(NO_IMAGES)
        return scores

    def forward(self, img: Tensor) -> Tensor:
        """Add a batch and give its own score, differentiable with respect to the images.

        Args:
            img: As for `update`. Where a gradient with respect to it is asked for, values in
                [-1, 2] are taken and scored as they are.

        Returns:
            As `compute`, of this batch and this process alone.

        Raises:
            ValueError: As for `update`.
        """
        # torchmetrics sets the states aside in forward and loses them where update raises
        check_shape(img)
        if self.model.check_input:
            check_values(img)
        score: Tensor = super().forward(img)
        if self.reduction == "none":  # torchmetrics would keep the graph of every batch
            self.scores = [scores.detach() for scores in self.scores]
        return score

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one value or several, on an axis from 0 to 1.

        Args:
            val: A result of `compute` or of calling the metric, or a list of such results, drawn
                as steps; `compute()` unless told.
            ax: Axes of matplotlib to draw on; new ones unless told.

        Returns:
            Figure and axes of matplotlib; the figure is None where axes were given.

        Raises:
            ModuleNotFoundError: When matplotlib is not installed.
        """
        return self._plot(val, ax)


def qualiclip_score(
    img: Tensor, model: QualiCLIP | str | Path = "lite", reduction: Reduction = "mean"
) -> Tensor:
    """Quality of a batch of images, without a state: the functional form of `QualiCLIPScore`.

    Args:
        img: As for `QualiCLIP.similarities`: RGB in [0, 1], (N, 3, H, W).
        model: As for `create`, or a metric that it made. A name or a path is loaded at every call,
            to the device of the images; in a loop, give the metric.
        reduction: `mean` over the images, or `none`.

    Returns:
        In [0, 1], higher is better: a scalar, or (N,) for `none`. Differentiable with respect to
        the images.

    Raises:
        ValueError: When an argument is off, or `mean` is asked of no image.
        WeightsError: When published weights cannot be had; the message holds the cure.

    Example:
        >>> qualiclip_score(torch.rand(2, 3, 96, 128), reduction="none").shape
        torch.Size([2])
    """
    check_shape(img)
    _check_reduction(reduction)
    metric = model if isinstance(model, QualiCLIP) else create(model, device=img.device)
    scores: Tensor = metric(img)[:, 0]
    if reduction == "none":
        return scores
    if not len(scores):
        raise ValueError("expected at least one image, got none")
    return scores.mean()


def _check_reduction(reduction: str) -> None:
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction: expected mean or none, got {reduction!r}")


def _frozen(model: QualiCLIP) -> QualiCLIP:
    """The model itself, if it neither learns nor updates statistics; refused otherwise."""
    learns = any(parameter.requires_grad for parameter in model.parameters())
    if learns or any(module.training for module in model.modules()):
        raise ValueError(
            "model: expected a frozen metric in evaluation mode, as create() makes it; use "
            "model.eval().requires_grad_(False), of a copy.deepcopy if the model is in training"
        )
    return model
