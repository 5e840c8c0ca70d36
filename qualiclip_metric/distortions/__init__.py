"""Synthetic distortions in groups, each a ladder of 5 levels that only gets worse.

The types are those of ARNIQA (arXiv 2310.14918) and KADID-10k; `table` has one row for each. Where
a ladder departs from theirs, docs/lab/distortions.md gives the reason. Everything works on batches
and on any device, draws from an explicit generator, and leaves its input unchanged.

    rng = torch.Generator().manual_seed(0)
    worse = distort(img, "jpeg", 3, rng)                       # (N, 3, H, W)
    steps = ladder(img, ("lensblur", "whitenoise"), rng)       # (5, N, 3, H, W)

`chains` composes faults of cameras and networks in physical order.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from qualiclip_metric.distortions._checks import check_images, check_level
from qualiclip_metric.distortions.chains import (
    LINKS,
    Chain,
    chain_ladder,
    draw_chain,
    parse_chain,
)
from qualiclip_metric.distortions.table import (
    DISTORTIONS,
    FAULTS,
    GROUPS,
    LEVELS,
    Distortion,
)

__all__ = [
    "DISTORTIONS",
    "FAULTS",
    "FAULT_OF",
    "GROUPS",
    "LEVELS",
    "LINKS",
    "Chain",
    "Distortion",
    "chain_ladder",
    "distort",
    "draw_chain",
    "ladder",
    "parse_chain",
    "resolve",
    "versions",
]

MAX_TYPES = 3
"""Most types that one ladder may compose."""
FAULT_OF: Mapping[str, str] = MappingProxyType(
    {d.name: d.fault for d in DISTORTIONS.values() if d.fault is not None}
    | {link.name: link.fault for link in LINKS.values()}
)
"""Type or link -> its fault, for those that have one."""


def distort(img: Tensor, name: str, level: int, rng: torch.Generator) -> Tensor:
    """Apply one distortion at one level.

    Args:
        img: (N, 3, H, W) RGB in [0, 1], at least 32x32, any floating dtype and device. The N
            images share one random state: the same angle, positions and noise field.
        name: A key of `DISTORTIONS`.
        level: 1 (mildest) to 5.
        rng: CPU generator; the result is the same on any device up to rounding.

    Returns:
        A new tensor of the shape, dtype and device of ``img``, in [0, 1].

    Raises:
        ValueError: For a wrong shape, dtype or range, an unknown name, a level out of 1 to 5, or
            a generator that is not on the CPU.

    Example:
        >>> img = torch.full((1, 3, 64, 64), 0.5)
        >>> distort(img, "whitenoise", 5, torch.Generator().manual_seed(0)).std() > 0.05
        tensor(True)
    """
    distortion = _find(name)
    check_images(img, rng)
    check_level("level", level)
    with torch.no_grad():
        return _step(img, distortion, level, rng)


def ladder(
    img: Tensor, names: str | Sequence[str], rng: torch.Generator, levels: int = LEVELS
) -> Tensor:
    """Degrade a batch with one type, or up to 3 types one after the other, at each level.

    All levels and all images share the random state of a type: the levels differ in strength alone.
    ``ladder(img, name, rng)[k - 1]`` is ``distort(img, name, k, rng)`` from the same state of
    ``rng``, which is left advanced as by one call.

    Args:
        img: As for `distort`.
        names: One to three distinct keys of `DISTORTIONS`, applied in this order at equal level.
        rng: CPU generator.
        levels: Height of the ladder: levels 1 to ``levels``.

    Returns:
        (levels, N, 3, H, W), mildest first, of the dtype and device of ``img``, in [0, 1].

    Raises:
        ValueError: As for `distort`, or for no, repeated, or more than three names.
    """
    distortions = resolve(names)
    check_images(img, rng)
    check_level("levels", levels)
    steps = [img] * levels
    with torch.no_grad():
        for distortion in distortions:
            state = rng.get_state()
            for index in range(levels):
                rng.set_state(state)
                steps[index] = _step(steps[index], distortion, index + 1, rng)
    return torch.stack(steps)


def versions(
    img: Tensor,
    seed: int,
    names: Iterable[str] = tuple(DISTORTIONS),
    levels: Iterable[int] = range(1, LEVELS + 1),
) -> Iterator[tuple[str, int, Tensor]]:
    """Yield name, level and image of every type at every level, each from the same random state.

    The levels of a type differ in strength alone, as in `ladder`, but one at a time is in memory.
    Types come one after the other.
    """
    steps = tuple(levels)
    for name in names:
        for level in steps:
            yield name, level, distort(img, name, level, torch.Generator().manual_seed(seed))


def resolve(names: str | Sequence[str]) -> tuple[Distortion, ...]:
    """Look up the types of a ladder, in the order given.

    Raises ValueError for an unknown name (with the closest ones), and unless there are 1 to
    `MAX_TYPES` distinct ones.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    found = tuple(_find(name) for name in chosen)
    if not 1 <= len(chosen) <= MAX_TYPES or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"expected 1 to {MAX_TYPES} distinct distortions, got {', '.join(chosen) or 'none'}"
        )
    return found


def _step(img: Tensor, distortion: Distortion, level: int, rng: torch.Generator) -> Tensor:
    exact = img if img.dtype == torch.float64 else img.float()
    out = distortion.apply(exact, distortion.levels[level - 1], rng)
    return out.clamp(0, 1).to(img.dtype)


def _find(name: str) -> Distortion:
    if name in DISTORTIONS:
        return DISTORTIONS[name]
    close = difflib.get_close_matches(name, DISTORTIONS, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"choose from {', '.join(DISTORTIONS)}"
    raise ValueError(f"unknown distortion {name!r}: {hint}")
