"""Diagnosis: the probability of each fault, from pooled features and pixel statistics.

The head is a multinomial logistic regression. Its classes are finer than the faults (too dark and
too bright are both exposure): the probabilities of the classes of one fault are added.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from qualiclip_metric.statistic_names import STATISTICS
from qualiclip_metric.statistics import luma_and_chroma, noise_sigma, quantiles, statistics

LUMA_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
CHROMA_SHARES = (0.5, 0.9, 0.99)
DESCRIPTORS = (
    *STATISTICS,
    *(f"luma_{share:g}" for share in LUMA_SHARES),
    *(f"chroma_{share:g}" for share in CHROMA_SHARES),
    "cb", "cr", "cast", "cb_bright", "cr_bright", "cast_bright", "cb_dark", "cr_dark", "cast_dark",
    "saturated", "steps_1", "steps_2", "steps_4", "chroma_steps_1", "chroma_steps_4",
    "misaligned", "noise_cb", "noise_cr", "peaks", "equal",
)  # fmt: skip
"""Names of the numbers that `descriptors` gives, in their order."""

NONE = "none"
"""Name of the class of images without a fault."""
TENSORS = ("mean", "std", "weight", "bias")
"""Tensors of a `DiagnosisHead`, by their names in a checkpoint."""
FARTHEST = 4.0
"""Standardised inputs are clamped to this, so that no odd number of an image decides alone."""

_TINY = 1e-3
_LEVELS = 256


class DiagnosisHead(nn.Module):
    """Multinomial logistic regression on pooled features and `descriptors`.

    The buffers are no part of the state dict: no score depends on them.

    Args:
        classes: Fault of each class, `NONE` for no fault; a fault may have several classes.
        tensors: `mean` and `std` of the inputs, (I,); `weight`, (C, I); `bias`, (C,).
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, classes: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.faults = tuple(dict.fromkeys(name for name in classes if name != NONE))
        self.places = [
            [place for place, name in enumerate(classes) if name == fault]
            for fault in (NONE, *self.faults)
        ]
        for name in TENSORS:
            self.register_buffer(name, tensors[name].detach().clone(), persistent=False)

    def forward(
        self, pooled: Float[Tensor, "n channels"], described: Float[Tensor, "n stats"]
    ) -> Float[Tensor, "n faults"]:
        """Probabilities of no fault and of each of `faults`, of sum 1."""
        inputs = torch.cat([pooled, described.to(pooled)], dim=1).to(self.weight.dtype)
        standard = ((inputs - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)
        # a product and a sum: in a matrix product the last digits would depend on the batch
        logits = (standard[:, None] * self.weight).sum(dim=-1) + self.bias  # (N, C)
        shares = logits.softmax(dim=1)
        return torch.stack([shares[:, places].sum(dim=1) for places in self.places], dim=1)


def descriptors(img: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n stats"]:
    """Describe images by pixel statistics, scaled so that a linear head can use them.

    Args:
        img: RGB in [0, 1], at the size that the features are computed at. No gradient flows back.

    Returns:
        (N, `len(DESCRIPTORS)`): `statistics`, those of a long tail as logarithms or square roots;
        quantiles of the luma and of the chroma's magnitude; the mean chroma (a cast) of all pixels,
        of the brightest and of the darkest 5 %; the share of pixels with one channel at its end
        and another not; logarithms of the mean step between pixels at 1, 2 and 4 px; the
        correlation of steps in luma and chroma; noise of the chroma; how far the luma's second
        differences exceed Gaussian noise of their median; and the share of equal neighbours.
    """
    img = img.detach().float().clamp(0, 1)
    plain = statistics(img).cpu()
    return torch.stack(
        [_describe(one, numbers) for one, numbers in zip(img, plain, strict=True)]
    ).to(img.device)


def _describe(rgb: Float[Tensor, "3 h w"], plain: Float[Tensor, " 8"]) -> Float[Tensor, " stats"]:
    luma, cb, cr = luma_and_chroma(rgb.cpu())
    chroma = (cb.square() + cr.square()).sqrt()
    lumas = _quantiles(luma, *LUMA_SHARES)
    brightness, contrast, dark, bright, colourful, sharpness, noise, blocks = plain.tolist()
    found = [
        brightness, contrast, dark**0.5, bright**0.5, (colourful / 100) ** 0.5,
        _log(sharpness / 100), _log(noise), _log(blocks),
    ]  # fmt: skip
    found += lumas.tolist()
    found += _quantiles(2 * chroma, *CHROMA_SHARES).sqrt().tolist()
    everything = torch.ones_like(luma, dtype=torch.bool)
    for where in (everything, luma >= lumas[-2], luma <= lumas[1]):
        mean = [float(channel[where].mean()) if where.any() else 0.0 for channel in (cb, cr)]
        found += [*mean, (mean[0] ** 2 + mean[1] ** 2) ** 0.5]
    lowest, highest = rgb.cpu().amin(dim=0), rgb.cpu().amax(dim=0)
    ends = ((lowest < 0.01) & (highest > 0.1)) | ((highest > 0.99) & (lowest < 0.9))
    found.append(float(ends.float().mean()) ** 0.5)
    found += [_log(_mean_step(luma, side)) for side in (1, 2, 4)]
    found += [_log(_mean_step(cb, side) + _mean_step(cr, side)) for side in (1, 4)]
    found.append(_correlation(_steps(luma), _steps(cb) + _steps(cr)))
    found += [_log(noise_sigma(255 * cb)), _log(noise_sigma(255 * cr))]
    second = (luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]).abs() * 255
    found.append(_log(float(second.square().mean().sqrt()) / (noise + 0.5)))
    found.append(float((_horizontal(luma).abs() < 0.5 / 255).float().mean()))
    return torch.tensor(found)


def _log(value: float) -> float:
    return float(torch.tensor(value + _TINY).log())


def _quantiles(values: Tensor, *shares: float) -> Tensor:
    histogram = torch.histc(values.clamp(0, 1), _LEVELS, 0, 1)
    return quantiles(histogram, *shares) / _LEVELS


def _horizontal(channel: Float[Tensor, "h w"]) -> Tensor:
    return channel[:, 1:] - channel[:, :-1]


def _steps(channel: Float[Tensor, "h w"]) -> Float[Tensor, "h2 w2"]:
    """Magnitude of the difference to the right and lower neighbours."""
    return _horizontal(channel)[:-1].abs() + (channel[1:] - channel[:-1])[:, :-1].abs()


def _mean_step(channel: Float[Tensor, "h w"], side: int) -> float:
    """Mean step, in grey levels, after averaging over squares of a side."""
    small = avg_pool2d(channel[None, None], side)[0, 0] if side > 1 else channel
    return float(_steps(small).mean()) * 255


def _correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's correlation; 0 where one is constant."""
    a, b = first - first.mean(), second - second.mean()
    size = float((a.square().mean() * b.square().mean()).sqrt())
    return float((a * b).mean()) / size if size > 1e-12 else 0.0
