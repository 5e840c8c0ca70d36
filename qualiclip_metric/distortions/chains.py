"""Chains: several faults in the order in which cameras and networks cause them, growing together.

A real photo has more than one fault: a dim scene, then a trembling hand, then noise and denoising,
then the compression of a network. A chain has one to three links of `LINKS` in this order. At each
level of its ladder, every link acts at its own share of the level's strength. A JPEG of good
quality ends it, as it ends nearly every photo.

    chain = parse_chain("hand_shake:0.5,low_light")
    steps = chain_ladder(img, chain, rng)                 # (5, N, 3, H, W)
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from qualiclip_metric.distortions import _random, links
from qualiclip_metric.distortions._checks import check_images, check_level
from qualiclip_metric.distortions.compression import jpeg
from qualiclip_metric.distortions.table import LEVELS

MAX_LINKS = 3
"""Most links of one chain."""
LEAST_SHARE = 0.35
"""Smallest share that is drawn: a weaker link would not be visible."""
QUALITY = (70, 97)
"""JPEG qualities that end a chain."""


@dataclass(frozen=True)
class Link:
    """One fault that a camera or a network adds; `fault` is the member of `FAULTS` that people see.

    `apply` takes (N, 3, H, W) in [0, 1] and a strength from 0 (next to nothing) to 1 (bad), and
    returns the same shape, not yet clamped. Its draws do not depend on the strength.
    """

    name: str  # key in `LINKS`
    fault: str
    apply: Callable[[Tensor, float, torch.Generator], Tensor]
    unit: str  # of the quantity that grows with the strength


_TABLE = (
    Link("haze", "exposure", links.haze, "scattered light, to 1.4 optical depths"),
    Link("flat_contrast", "exposure", links.flat_contrast, "loss of contrast, to 50 %"),
    Link("colour_cast", "colour", links.colour_cast, "gains of R, G, B, to a factor e^±0.8"),
    Link("overexposure", "exposure", links.overexposure, "light, to +2.5 stops"),
    Link("defocus", "blur", links.defocus, "disk, to 6 px radius"),
    Link("hand_shake", "blur", links.hand_shake, "path, to 17.5 px"),
    Link("low_light", "exposure", links.low_light, "light, to -3 stops"),
    Link("sensor_noise", "noise", links.sensor_noise, "noise, denoised or not"),
    Link("resample", "blur", links.resample, "down and up, to 4.6 times"),
    Link("recompression", "compression", links.recompression, "JPEG, to quality 12"),
)

LINKS: Mapping[str, Link] = MappingProxyType({link.name: link for link in _TABLE})
"""The links by name, in physical order: scene, light, lens, sensor, processing, network."""


@dataclass(frozen=True)
class Chain:
    """Links and their shares, in physical order, and the quality of the JPEG that ends every level.

    At level k of n a link acts at strength share * k / n, 0 < share <= 1; quality None: no JPEG.
    Raises ValueError for an unknown name, none, more than `MAX_LINKS` or repeated ones, another
    order, or a wrong share.
    """

    links: tuple[tuple[str, float], ...]
    quality: int | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.links]
        for name in names:
            if name not in LINKS:
                close = difflib.get_close_matches(name, LINKS, n=3, cutoff=0.5) or LINKS
                raise ValueError(f"unknown link {name!r}: choose from {', '.join(close)}")
        if not 1 <= len(names) <= MAX_LINKS or names != [n for n in LINKS if n in names]:
            raise ValueError(
                f"expected 1 to {MAX_LINKS} distinct links in physical order "
                f"({', '.join(LINKS)}), got {', '.join(names) or 'none'}"
            )
        for name, share in self.links:
            if not 0 < share <= 1:
                raise ValueError(f"{name}: expected a share above 0, at most 1, got {share:g}")

    def __str__(self) -> str:
        return ",".join(name if share == 1 else f"{name}:{share:g}" for name, share in self.links)


def parse_chain(text: str) -> Chain:
    """Parse a chain, such as ``hand_shake:0.5,low_light``: a share where it is not 1.

    Raises ValueError when a share is not a number, or as `Chain`.
    """
    found = []
    for word in text.split(","):
        name, _, share = word.strip().partition(":")
        try:
            found.append((name, float(share) if share else 1.0))
        except ValueError as err:
            raise ValueError(f"{word.strip()}: expected name or name:share") from err
    return Chain(tuple(found))


def draw_chain(rng: torch.Generator, max_links: int = MAX_LINKS) -> Chain:
    """Draw a chain of 1 to `max_links` links, each number equally often, with random shares."""
    count = 1 + _random.index(max_links, rng)
    places = sorted(torch.randperm(len(LINKS), generator=rng)[:count].tolist())
    names = [list(LINKS)[place] for place in places]
    return Chain(
        tuple((name, _random.between(LEAST_SHARE, 1.0, rng)) for name in names),
        QUALITY[0] + _random.index(QUALITY[1] - QUALITY[0] + 1, rng),
    )


def chain_ladder(
    img: Float[Tensor, "n 3 h w"], chain: Chain, rng: torch.Generator, levels: int = LEVELS
) -> Float[Tensor, "levels n 3 h w"]:
    """Degrade a batch with a chain, at each level.

    All levels and all images share the random state of a link, as in `ladder`.

    Args:
        img: RGB in [0, 1], at least 32x32, any floating dtype and device.
        chain: As `draw_chain` or `parse_chain` give it.
        rng: CPU generator.
        levels: Height of the ladder; the last level is each link's full share.

    Returns:
        (levels, N, 3, H, W), mildest first, of the dtype and device of ``img``, in [0, 1].

    Raises:
        ValueError: For a wrong shape, dtype or range, or a number of levels out of 1 to 5.
    """
    check_images(img, rng)
    check_level("levels", levels)
    steps = [img.float()] * levels
    with torch.no_grad():
        for name, share in chain.links:
            state = rng.get_state()
            for index in range(levels):
                rng.set_state(state)
                strength = share * (index + 1) / levels
                steps[index] = LINKS[name].apply(steps[index], strength, rng).clamp(0, 1)
        if chain.quality is not None:
            steps = [jpeg(step, float(chain.quality)) for step in steps]
    return torch.stack(steps).to(img.dtype)
