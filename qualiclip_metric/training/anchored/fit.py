"""Ranks, linear heads and their projection in closed form: functions of tensors, no randomness."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor


@dataclass(frozen=True)
class QuadraticPenalty:
    """Penalty on the mean squared response of a head to changes of its features.

    With `second_moment` the mean of d d' over changes d of the unstandardised features, a head w
    has the mean squared response w' (d d') w. `weight` applies once its mean diagonal is scaled to
    1.
    """

    weight: float
    second_moment: Float[Tensor, "channels channels"]


@dataclass(frozen=True)
class Heads:
    """Linear functions of pooled features: one row of `weight` and one bias per head."""

    weight: Float[Tensor, "heads channels"]
    bias: Float[Tensor, " heads"]

    def __call__(self, pooled: Float[Tensor, "n channels"]) -> Float[Tensor, "n heads"]:
        """Evaluate the heads on each row."""
        return pooled @ self.weight.T + self.bias


def ranks(values: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Rank of each value among all, in (0, 1), higher for higher values; ties get their mean."""
    order = torch.from_numpy(rankdata(values.double().numpy())).reshape(values.shape)
    return (order - 0.5) / values.numel()


def ridge(
    pooled: Float[Tensor, "n channels"],
    target: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    size: float,
    penalties: Sequence[QuadraticPenalty] = (),
) -> Heads:
    """Ridge regression on standardised features, in fp64; one head, on the unstandardised features.

    w = (X'X/n + lambda I + sum of mu_k G_k)^-1 X'y/n, with lambda = `size` and G_k the matrices of
    the penalties. The weights of the rows may have any sum.
    """
    x, y, share = pooled.double(), target.double(), weight.double() / weight.double().sum()
    mean = share @ x
    # a constant channel has z = 0 and gets weight 0
    spread = (share @ (x - mean).square()).sqrt().clamp(min=1e-6)
    z, centred = (x - mean) / spread, y - share @ y
    normal = z.T @ (share[:, None] * z) + size * torch.eye(len(spread)).double()
    for penalty in penalties:
        # with x = spread * z, a head v on z is v / spread on x: G becomes S^-1 G S^-1
        scaled = penalty.second_moment.double() / spread[:, None] / spread
        # a mean diagonal of 1, as z'z has, so that weights compare across trunks and photo sizes
        normal = normal + penalty.weight * scaled / scaled.diagonal().mean()
    head = torch.linalg.solve(normal, z.T @ (share * centred)) / spread
    return Heads(head[None].float(), (share @ y - mean @ head)[None].float())


def discriminant(
    pooled: Float[Tensor, "n channels"], label: Int[Tensor, " n"], classes: int, shrinkage: float
) -> Heads:
    """Log odds of classes 1 and up against class 0, by linear discriminant analysis.

    Classes have equal priors and equal parts in the covariance, for any number of rows. The
    covariance within classes, of standardised features, is shared and shrunk towards the identity
    (Friedman, JASA 84, 1989). Raises ValueError when a class has no row.
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
    deviation = z - means[label]
    share = 1 / rows.double()[label] / classes
    within = deviation.T @ (share[:, None] * deviation)
    within = within + shrinkage * torch.eye(z.shape[1]).double()
    # log N(z; m, W) = z' W^-1 m - m' W^-1 m / 2 + terms that all classes share
    weight = torch.linalg.solve(within, means.T).T  # (classes, channels)
    bias = -0.5 * (weight * means).sum(dim=1)
    odds, offset = weight[1:] - weight[0], bias[1:] - bias[0]
    return Heads((odds / spread).float(), offset.float())


def to_logits(
    heads: Heads, predicted: Float[Tensor, " n"], good: Bool[Tensor, " n"], bad: Bool[Tensor, " n"]
) -> Heads:
    """Rescale heads to log odds: the median good crop gets probability .9, the median bad one .1.

    `predicted` holds values on the heads' scale; `good` and `bad` are masks of it. Raises
    ValueError when the median bad crop is not below the median good one.
    """
    high, low = predicted[good].median(), predicted[bad].median()
    if not high > low:
        raise ValueError(
            f"the features do not tell good crops from bad ones ({high:g} and {low:g}); "
            "start from a trained trunk, or draw more photos"
        )
    # logit(.9) = log 9 and logit(.1) = -log 9 are 2 log 9 apart
    slope = 2 * torch.log(torch.tensor(9.0)) / (high - low)
    return Heads(slope * heads.weight, slope * (heads.bias - (high + low) / 2))


def heads_to_projection(
    heads: Heads, prompts: Float[Tensor, "heads 2 dim"], scale: float
) -> tuple[Float[Tensor, "dim channels"], Float[Tensor, " dim"]]:
    """Solve for the projection that gives each prompt pair its head's log odds.

    With D the differences positive - negative, the projection is pinv(D) applied to the heads over
    the scale, plus a unit vector orthogonal to all differences, in the direction of the prompts'
    mean. The metric divides features by their norm; the unit vector is long beside the rest, so
    that this norm is nearly constant.
    """
    unit = torch.nn.functional.normalize(prompts.double(), dim=-1)
    differences = unit[:, 0] - unit[:, 1]  # D: (heads, dim), of full rank for distinct pairs
    back = torch.linalg.pinv(differences)  # (dim, heads), D @ back = 1
    common = unit.mean(dim=(0, 1))
    common = common - back @ (differences @ common)  # D @ common = 0: no pair's odds change
    bias = back @ (heads.bias.double() / scale) + common / common.norm()
    return (back @ (heads.weight.double() / scale)).float(), bias.float()
