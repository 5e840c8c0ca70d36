"""QualiCLIP as a torchmetrics metric: one score over the batches and processes of an evaluation."""

from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from qualiclip_metric.build import create, normal_tensors
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
    """Quality of the images that a network produces, over a whole evaluation.

    `update(img)` adds a batch; `compute()` returns the score of all images since the last
    `reset()`, of all processes of `torch.distributed`. Calling the metric adds a batch as well, and
    returns the score of that batch, differentiable with respect to its images: it can be a term of
    a loss.

    `state_dict()` does not hold the weights of the frozen model: a LightningModule's checkpoints
    stay small, and those written before the metric was added can be loaded.

    Args:
        model: As for `create`: a registered name, `hf://user/name` or a path; or a frozen metric in
            evaluation mode, as `create` returns it, to choose device, precision or prompts.
        reduction: `mean`: one score, the mean over all images, each with the same weight; `none`: a
            score per image, (N,), in the order of the updates, those of process 0 first.
        save_model: Whether `state_dict()` includes the weights of the model.
        kwargs: Options of every torchmetrics metric, such as `dist_sync_on_step` and
            `process_group`.

    Raises:
        ValueError: When an argument is not as above, or the model is in training mode or not
            frozen.
        WeightsError: When published weights are not available; the message states the cure.

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

    @normal_tensors()
    def __init__(
        self,
        model: QualiCLIP | str | Path = "lite",
        reduction: Reduction = "mean",
        *,
        save_model: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_reduction(reduction)
        self.reduction, self.save_model = reduction, save_model
        self.model = _frozen(model) if isinstance(model, QualiCLIP) else create(model)
        if reduction == "mean":
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")
        else:
            self.add_state("scores", [], dist_reduce_fx="cat")
        self.to(self.model.device)

    @property
    def signature(self) -> Signature | None:
        """Signature of the scores, to be quoted with them; None for a model built by hand."""
        return self.model.signature

    def train(self, mode: bool = True) -> "QualiCLIPScore":
        """Set the mode of the metric; its model stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def state_dict(  # type: ignore[override]
        self,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Return the states that are persistent; the model's weights only with `save_model`."""
        held: dict[str, Any] = super().state_dict(destination, prefix, keep_vars)
        if not self.save_model:
            for key in [key for key in held if key.startswith(f"{prefix}model.")]:
                del held[key]
        return held

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load the states, and those weights of the model that the checkpoint holds."""
        # A strict load demands every key, so the present weights fill in for missing ones. torch
        # passes this mapping on to the submodules.
        for key, tensor in self.model.state_dict(prefix=f"{prefix}model.").items():
            state_dict.setdefault(key, tensor)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def update(self, img: Tensor) -> None:
        """Add the scores of a batch. No gradient is kept.

        Args:
            img: RGB in [0, 1], (N, 3, H, W), at least 32 pixels on each side, of any float type.

        Raises:
            ValueError: When `img` is not as above; then none of its images is counted.
        """
        scores = self.model(img)[:, 0]
        if self.reduction == "mean":
            self.total = self.total + scores.sum()
            self.images = self.images + len(scores)
        else:
            self.scores.append(scores)

    def compute(self) -> Tensor:
        """Compute the score of all images since the last reset, of all processes.

        It is fp32 in [0, 1], higher is better: a scalar, or (N,) for `none`, of which torchmetrics
        makes a scalar if N is 1. Raises ValueError when no process has an image.
        """
        if self.reduction == "mean":
            if not self.images:
                raise ValueError(NO_IMAGES)
            return self.total / self.images
        if not len(self.scores) or not (scores := dim_zero_cat(self.scores)).numel():
            raise ValueError(NO_IMAGES)
        return scores

    def forward(self, img: Tensor) -> Tensor:
        """Add a batch, as `update` does, and return the score of its images in this process.

        It is differentiable with respect to the images. Of images that need a gradient, values in
        [-1, 2] are accepted, and scored without clipping.
        """
        # here, because torchmetrics loses its states if update raises within its forward
        check_shape(img)
        if self.model.check_input:
            check_values(img)
        score: Tensor = super().forward(img)
        if self.reduction == "none":  # torchmetrics would keep the graph of every batch
            self.scores = [scores.detach() for scores in self.scores]
        return score

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one result or a list of them on an axis from 0 to 1; default: `compute()`.

        Returns figure and axes of matplotlib; the figure is None if axes were given.
        """
        return self._plot(val, ax)


def qualiclip_score(
    img: Tensor, model: QualiCLIP | str | Path = "lite", reduction: Reduction = "mean"
) -> Tensor:
    """Score a batch of images: the functional form of `QualiCLIPScore`, without a state.

    Args:
        img: As for `QualiCLIP.similarities`: RGB in [0, 1], (N, 3, H, W).
        model: As for `create`, or a metric that it returned. In a loop, pass a metric: a name or a
            path is loaded at each call, to the device of the images.
        reduction: `mean` over the images, or `none`.

    Returns:
        In [0, 1], higher is better: a scalar, or (N,) for `none`. Differentiable with respect to
        the images.

    Raises:
        ValueError: When an argument is not as above, or for `mean` of no image.
        WeightsError: When published weights are not available; the message states the cure.

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
    """Return the model; raise unless it is frozen and in evaluation mode."""
    learns = any(parameter.requires_grad for parameter in model.parameters())
    if learns or any(module.training for module in model.modules()):
        raise ValueError(
            "model: expected a frozen metric in evaluation mode, as create() makes it; use "
            "model.eval().requires_grad_(False), of a copy.deepcopy if the model is in training"
        )
    return model
