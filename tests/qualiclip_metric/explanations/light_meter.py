"""A metric whose maps are known beforehand: it measures light, where a mask lets it see."""

import torch
from torch import Tensor, nn

from qualiclip_metric.metric import QualiCLIP

GRADIENT = ("positive", "negative", "difference")


def photos(count: int = 2, size: tuple[int, int] = (64, 80), seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=rng)
    return nn.functional.interpolate(coarse, size=size, mode="bilinear")


class Shades(nn.Module):
    """How light and how dark, (N, 2, H/8, W/8), where the mask lets it see; blind elsewhere."""

    def __init__(self, seen: tuple[slice, slice]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, img: Tensor) -> Tensor:
        light = nn.functional.avg_pool2d(img.mean(dim=1, keepdim=True), 8)
        shades = torch.cat([light, 1 - light], dim=1)
        mask = torch.zeros_like(shades)
        mask[(..., *self.seen)] = 1
        return shades * mask


class ShadesEncoder(nn.Module):
    """The mean of the shades: pair 0 asks light or dark, pair 1 the opposite."""

    dim = 2

    def __init__(self, seen: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        super().__init__()
        self.trunk = Shades(seen)

    @property
    def last_stage(self) -> nn.Module:
        return self.trunk

    def forward(self, img: Tensor) -> Tensor:
        features: Tensor = self.trunk(img).mean(dim=(2, 3))
        return features


def light_meter(seen: tuple[slice, slice] = (slice(None), slice(None))) -> QualiCLIP:
    light, dark = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    prompts = torch.stack([torch.stack([light, dark]), torch.stack([dark, light])])
    metric = QualiCLIP(ShadesEncoder(seen), prompts, temperature=50.0).eval()
    metric.pairs = (("Light photo.", "Dark photo."), ("Dark photo.", "Light photo."))
    return metric


def peak(maps: Tensor) -> tuple[int, int]:
    row, column = divmod(int(maps.flatten().argmax()), maps.shape[-1])
    return row, column
