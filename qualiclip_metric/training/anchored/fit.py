"""Ranks, heads and prompts in closed form: no steps, no seed. Functions of tensors alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor


@dataclass(frozen=True)
class Penalty:
    """What a head is to say little of, beside its own size.

    Attributes:
        weight: How much it counts; the matrix is scaled to a mean diagonal of 1 first.
        squared: Mean of d d', d being a change of the features as they are that the head is to say
            little of, so that a head w has the mean squared change w' (d d') w.
    """

    weight: float
    squared: Float[Tensor, "channels channels"]


@dataclass(frozen=True)
class Heads:
    """Linear functions of pooled features.

    Attributes:
        weight: One row per head.
        bias: One number per head.
    """

    weight: Float[Tensor, "heads channels"]
    bias: Float[Tensor, " heads"]

    def __call__(self, pooled: Float[Tensor, "n channels"]) -> Float[Tensor, "n heads"]:
        """What each head says of each row."""
        return pooled @ self.weight.T + self.bias


def ranks(values: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Rank of each value among all, in (0, 1), higher for higher values; ties share theirs."""
    place = torch.from_numpy(rankdata(values.double().numpy())).reshape(values.shape)
    return (place - 0.5) / values.numel()


def ridge(
    pooled: Float[Tensor, "n channels"],
    target: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    size: float,
    penalties: Sequence[Penalty] = (),
) -> Heads:
    """Ridge regression on standardised features, in fp64.

    w = (X'X/n + lambda I + sum of mu_k G_k)^-1 X'y/n, with G_k the matrices of the penalties.

    Args:
        pooled: Features.
        target: What is to be told from them.
        weight: Of each row, of any sum.
        size: Lambda, the penalty on the size of the head.
        penalties: The others.

    Returns:
        One head, on the features as they are.
    """
    x, y, share = pooled.double(), target.double(), weight.double() / weight.double().sum()
    mean = share @ x
    spread = (share @ (x - mean).square()).sqrt().clamp(min=1e-6)
    z, centred = (x - mean) / spread, y - share @ y
    normal = z.T @ (share[:, None] * z) + size * torch.eye(len(spread)).double()
    for penalty in penalties:
        scaled = penalty.squared.double() / spread[:, None] / spread
        normal = normal + penalty.weight * scaled / scaled.diagonal().mean()
    head = torch.linalg.solve(normal, z.T @ (share * centred)) / spread
    return Heads(head[None].float(), (share @ y - mean @ head)[None].float())


def discriminant(
    pooled: Float[Tensor, "n channels"], label: Int[Tensor, " n"], classes: int, shrinkage: float
) -> Heads:
    """Log odds of each class against class 0, by linear discriminants.

    Classes count the same whatever their number of rows; the covariance within them, of
    standardised features, is shared and shrunk towards the identity (Friedman, JASA 84, 1989).

    Args:
        pooled: Features.
        label: Class of each row, 0 to `classes` - 1, none of them empty.
        classes: How many.
        shrinkage: What is added to the covariance's diagonal.

    Returns:
        `classes` - 1 heads, of class 1 and on.

    Raises:
        ValueError: When a class has no row.
    """
    rows = torch.bincount(label, minlength=classes)
    if not rows.all():
        raise ValueError(
            f"diagnosis: expected crops of each of {classes} classes, got {rows.tolist()}; "
            "draw more photos"
        )
    spread = pooled.double().std(dim=0).clamp(min=1e-6)
    z = pooled.double() / spread
    means = torch.stack([z[label == one].mean(dim=0) for one in range(classes)])
    away = z - means[label]
    share = 1 / rows.double()[label] / classes
    within = away.T @ (share[:, None] * away) + shrinkage * torch.eye(z.shape[1]).double()
    weight = torch.linalg.solve(within, means.T).T
    bias = -0.5 * (weight * means).sum(dim=1)
    odds, offset = weight[1:] - weight[0], bias[1:] - bias[0]
    return Heads((odds / spread).float(), offset.float())


def to_logits(
    heads: Heads, predicted: Float[Tensor, " n"], good: Bool[Tensor, " n"], bad: Bool[Tensor, " n"]
) -> Heads:
    """Heads on a scale of log odds: the median good crop gets .9, the median bad one .1.

    Args:
        heads: Heads on one scale.
        predicted: What that scale says of some crops.
        good: Which of them are good.
        bad: Which of them are bad.

    Raises:
        ValueError: When the scale does not tell them apart.
    """
    high, low = predicted[good].median(), predicted[bad].median()
    if not high > low:
        raise ValueError(
            f"the features do not tell good crops from bad ones ({high:g} and {low:g}); "
            "start from a trained trunk, or draw more photos"
        )
    slope = 2 * torch.log(torch.tensor(9.0)) / (high - low)
    return Heads(slope * heads.weight, slope * (heads.bias - (high + low) / 2))


def realised(
    heads: Heads, prompts: Float[Tensor, "heads 2 dim"], scale: float
) -> tuple[Float[Tensor, "dim channels"], Float[Tensor, " dim"]]:
    """The linear map to the prompts' space in which each pair says what its head says.

    With D the differences positive - negative, the map is pinv(D) applied to the heads over the
    scale, plus a unit vector orthogonal to all differences. That vector is what the prompts have
    in common; it is long enough beside the rest that the cosine's normalisation does not matter.

    Args:
        heads: Log odds of the positive prompt, one head per pair.
        prompts: Unit features of the pairs, positive first.
        scale: What the cosines are multiplied by before the softmax.

    Returns:
        Weight and bias of the projection.
    """
    unit = torch.nn.functional.normalize(prompts.double(), dim=-1)
    differences = unit[:, 0] - unit[:, 1]
    back = torch.linalg.pinv(differences)
    common = unit.mean(dim=(0, 1))
    common = common - back @ (differences @ common)
    bias = back @ (heads.bias.double() / scale) + common / common.norm()
    return (back @ (heads.weight.double() / scale)).float(), bias.float()
