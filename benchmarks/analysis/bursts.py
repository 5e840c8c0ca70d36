"""Bursts made of an undegraded photo and versions of it with a fault of known strength.

A burst has the photo and `FRAMES` others, each with draws of its own: the path of the hand, the
noise. Between frames the camera moves by a few pixels, so that the frames are no exact copies. A
mixed burst has the photo, and one frame with each fault, all of one strength.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.metrics.scorer import Scorer
from qualiclip_metric.distortions import LINKS
from qualiclip_metric.images import to_picture
from qualiclip_metric.near_duplicates import group_photos, perceptual_hash

__all__ = ["FAULTS", "FRAMES", "STRENGTHS", "Outcome", "measure_bursts"]

FAULTS = {
    "hand_shake": "path of {:.1f} px",
    "defocus": "disk of {:.1f} px radius",
    "overexposure": "{:+.2f} stops",
    "low_light": "{:+.2f} stops, with noise",
    "sensor_noise": "standard deviation {:.3f} of linear light",
}
"""Links of a chain that spoil a frame -> what their strength means."""
_UNITS = {
    "hand_shake": lambda s: 0.5 + 17 * s,
    "defocus": lambda s: 0.4 + 5.6 * s**1.3,
    "overexposure": lambda s: 2.5 * s,
    "low_light": lambda s: -3 * s,
    "sensor_noise": lambda s: 0.06 * s**1.2,
}
STRENGTHS = (0.1, 0.2, 0.4)
"""Of the links, from 0 to 1."""
FRAMES = 3
"""Degraded frames of a burst with one fault."""
MOVE = 4
"""Most pixels that the camera moves, in each direction."""


def strength_text(fault: str, strength: float) -> str:
    """A strength in the fault's unit."""
    return FAULTS[fault].format(_UNITS[fault](strength)) if fault in FAULTS else f"{strength:g}"


class Outcome(NamedTuple):
    """Outcome of one burst.

    Args:
        fault: A key of `FAULTS`, or `mixed`.
        strength: One of `STRENGTHS`.
        picked: Whether each metric scores the undegraded frame highest.
        grouped: Whether all frames are in one group, with the times of capture.
        grouped_by_hash: The same without times.
    """

    fault: str
    strength: float
    picked: tuple[bool, ...]
    grouped: bool
    grouped_by_hash: bool


def measure_bursts(
    photo: Float[Tensor, "3 h w"], metrics: Sequence[Scorer], seed: int
) -> Iterator[Outcome]:
    """Make all bursts of one photo, and let each metric pick.

    Args:
        photo: RGB in [0, 1], at least 64x64.
        metrics: That can score changed images.
        seed: Of the draws.
    """
    rng = torch.Generator().manual_seed(seed)
    img = photo[None]
    undegraded = _measured(_moved(img, rng), metrics)
    for strength in STRENGTHS:
        mixed = [undegraded]
        for fault in FAULTS:
            burst = [undegraded]
            for _ in range(FRAMES):
                frame = LINKS[fault].apply(img, strength, rng).clamp(0, 1)
                burst.append(_measured(_moved(frame, rng), metrics))
            yield _outcome(fault, strength, burst)
            mixed.append(burst[1])
        yield _outcome("mixed", strength, mixed)


class _Frame(NamedTuple):
    """A frame's perceptual hash, and its scores by each metric, higher is better."""

    hash: int
    scores: tuple[float, ...]


def _moved(img: Float[Tensor, "1 3 h w"], rng: torch.Generator) -> Tensor:
    """The part of an image that a camera sees which moves by up to `MOVE` px."""
    height, width = (n - 2 * MOVE for n in img.shape[-2:])
    top, left = torch.randint(0, 2 * MOVE + 1, (2,), generator=rng).tolist()
    return img[..., top : top + height, left : left + width].contiguous()


def _measured(frame: Float[Tensor, "1 3 h w"], metrics: Sequence[Scorer]) -> _Frame:
    scores = tuple(m.sign * m.score_image(frame) for m in metrics)
    return _Frame(perceptual_hash(np.asarray(to_picture(frame[0]))), scores)


def _outcome(fault: str, strength: float, burst: Sequence[_Frame]) -> Outcome:
    """The outcome of a burst whose first frame is the undegraded one."""
    by_metric = zip(*(frame.scores for frame in burst), strict=True)
    picked = tuple(scores[0] > max(scores[1:]) for scores in by_metric)
    hashes, times = [frame.hash for frame in burst], [float(i) for i in range(len(burst))]
    return Outcome(fault, strength, picked, _is_one(hashes, times), _is_one(hashes, None))


def _is_one(hashes: Sequence[int], times: Sequence[float] | None) -> bool:
    return len(set(group_photos(hashes, times).tolist())) == 1
