"""The demo's rows: sample photos under distortions, scored from clean to worst."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from qualiclip_metric.metric import QualiCLIP


class Photo(NamedTuple):
    """A photo of `skimage.data`: its name there, who made it, and the place a tile shows."""

    name: str
    credit: str
    centre: tuple[float, float]  # shares of width and height


PHOTOS = (
    Photo("astronaut", "Eileen Collins by NASA, public domain", (0.43, 0.25)),
    Photo("chelsea", "Chelsea by Stefan van der Walt, CC0", (0.48, 0.42)),
    Photo("rocket", "DSCOVR launch by SpaceX, public domain", (0.5, 0.78)),
    Photo("coffee", "Coffee by Rachel Michetti, CC0", (0.55, 0.45)),
)
DISTORTIONS = {
    "gaublur": "Gaussian blur",
    "jpeg": "JPEG",
    "whitenoise": "White noise",
    "darken": "Darkening",
}
"""Distortions of the demo, one of each of the best-known groups, and their names for people."""
SEED = 0


class Strip(NamedTuple):
    """A photo under one distortion: clean first, then levels 1 to 5."""

    photo: Photo
    distortion: str
    tiles: "Tensor"  # (6, 3, H, W) in [0, 1]
    scores: list[float]


def make_strip(metric: "QualiCLIP", photo: Photo, image: "Tensor", distortion: str) -> Strip:
    """Degrade a photo by every level of a distortion, and score the lot as a batch.

    Args:
        metric: What scores.
        photo: Which photo it is.
        image: Its pixels, (3, H, W) RGB in [0, 1].
        distortion: Key of `DISTORTIONS`.

    Returns:
        The clean photo and its five levels with their scores.
    """
    import torch

    from qualiclip_metric.distortions import ladder

    rng = torch.Generator().manual_seed(SEED)
    tiles = torch.cat([image[None], ladder(image[None], distortion, rng)[:, 0]])
    with torch.inference_mode():
        scores = metric(tiles.to(metric.device)).flatten().tolist()
    return Strip(photo, distortion, tiles, scores)


def diagonal(strips: list[Strip]) -> list[Strip]:
    """One strip of each photo, each under another distortion: the rows of the picture."""
    names = list(DISTORTIONS)
    return [s for s in strips if PHOTOS.index(s.photo) % len(names) == names.index(s.distortion)]
