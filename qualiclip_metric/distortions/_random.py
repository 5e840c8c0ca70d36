"""Random numbers from a CPU generator, then moved: a state gives the same field on any device.

No draw may depend on a distortion's strength: a ladder replays one generator state for each level
and relies on the same numbers.
"""

import math

import torch
from torch import Tensor


def uniform(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers of [0, 1) of ``shape``, on the device and of the dtype of ``like``."""
    return torch.rand(shape, generator=rng).to(like)


def normal(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of ``shape``, on the device and of the dtype of ``like``."""
    return torch.randn(shape, generator=rng).to(like)


def angle(turn: float, rng: torch.Generator) -> float:
    """One angle in radians, uniform over the fraction ``turn`` of a full turn."""
    return float(torch.rand((), generator=rng)) * turn * 2 * math.pi


def sign(rng: torch.Generator) -> int:
    """Either -1 or 1."""
    return 2 * int(torch.randint(2, (), generator=rng)) - 1


def between(low: float, high: float, rng: torch.Generator) -> float:
    """One number, uniform from ``low`` to ``high``."""
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(share: float, rng: torch.Generator) -> bool:
    """True in a ``share`` of the draws."""
    return float(torch.rand((), generator=rng)) < share


def index(count: int, rng: torch.Generator) -> int:
    """One of 0 to ``count - 1``, equally often."""
    return int(torch.randint(count, (), generator=rng))
