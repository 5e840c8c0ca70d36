"""Bursts made of an undegraded photo and versions of it with a fault of known strength.

A burst has the photo, and a frame with one fault at each strength, with draws of its own: the path
of the hand, the noise. Between frames the camera moves by a few pixels, so that the frames are no
exact copies. A mixed burst has the photo, and one frame with each fault, all of one strength; a
bracket has the photo, and one frame with more and one with less light.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from benchmarks.metrics.scorer import Scorer
from qualiclip_metric.distortions import LINKS
from qualiclip_metric.distortions.links import sensor_noise
from qualiclip_metric.images import to_picture, to_tensor
from qualiclip_metric.near_duplicates import group_photos, perceptual_hash
from qualiclip_metric.scoring.picks import WEIGHTS, compared_statistics, merit, terms

__all__ = [
    "BURSTS",
    "STRENGTHS",
    "Frame",
    "Outcome",
    "compare_frames",
    "fit_weights",
    "make_frames",
]


class Fault(NamedTuple):
    """Text of a strength, and the number in it as a function of the strength."""

    text: str
    unit: Callable[[float], float]


FAULTS = {
    "hand_shake": Fault("path of {:.1f} px", lambda s: 0.5 + 17 * s),
    "defocus": Fault("disk of {:.1f} px radius", lambda s: 0.4 + 5.6 * s**1.3),
    "overexposure": Fault("{:+.2f} stops", lambda s: 2.5 * s),
    "underexposure": Fault("{:+.2f} stops", lambda s: -2.5 * s),
    "low_light": Fault("{:+.2f} stops, with noise", lambda s: -3 * s),
    "sensor_noise": Fault("standard deviation {:.3f} of linear light", lambda s: 0.06 * s**1.2),
    "luma_noise": Fault("{:.3f}, chroma smoothed", lambda s: 0.06 * s**1.2),
    "denoised_noise": Fault("{:.3f}, bilateral filter", lambda s: 0.06 * s**1.2),
    "recompression": Fault("JPEG of quality {:.0f}", lambda s: 80 * (12 / 80) ** s),
}
"""Links of a chain that spoil a frame, and the inverse of `overexposure`."""
_DENOISING = {"sensor_noise": 0, "luma_noise": 2, "denoised_noise": 1}
FITTED = tuple(fault for fault in FAULTS if fault != "denoised_noise")
"""Faults that are visible at each strength: of a grainy photo, the filter leaves less noise."""
BURSTS = {
    **{fault: (fault,) for fault in FAULTS},
    "bracket": ("underexposure", "overexposure"),
    "mixed": FITTED,
}
"""Kind of a burst -> the faults of its frames."""
RIDGE = 1e-3
"""Weight of the squared weights in `fit_weights`, of terms with standard deviation 1."""
STRENGTHS = (0.1, 0.2, 0.4)
"""Of the links, from 0 to 1."""
MOVE = 4
"""Most pixels that the camera moves, in each direction."""


def strength_text(kind: str, strength: float) -> str:
    """A strength in the fault's unit."""
    if kind == "bracket":
        return strength_text("overexposure", strength).replace("+", "±")
    fault = FAULTS.get(kind)
    return fault.text.format(fault.unit(strength)) if fault else f"{strength:g}"


class Frame(NamedTuple):
    """A frame, and its measurements.

    Args:
        fault: A key of `FAULTS`; empty for the undegraded frame.
        strength: Of the fault.
        hash: As `perceptual_hash` makes it.
        scores: By each metric, higher is better.
        statistics: As `compared_statistics` computes them.
    """

    fault: str
    strength: float
    hash: int
    scores: tuple[float, ...]
    statistics: Mapping[str, float]


class Outcome(NamedTuple):
    """Outcome of one burst.

    Args:
        kind: One of `BURSTS`.
        strength: Of the faults; None where the burst has a frame at each strength.
        picked: Whether the undegraded frame is the best, by `pick` (the first metric and the
            statistics) and by each metric alone.
        grouped: Whether all frames are in one group, with the times of capture.
        grouped_by_hash: The same without times.
    """

    kind: str
    strength: float | None
    picked: tuple[bool, ...]
    grouped: bool
    grouped_by_hash: bool


def make_frames(
    photo: Float[Tensor, "3 h w"],
    metrics: Sequence[Scorer],
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Frame]:
    """Make the frames of all bursts of one photo, the undegraded one first, and measure them.

    Args:
        photo: RGB in [0, 1], at least 64x64.
        metrics: That can score changed images.
        seed: Of the draws.
        strengths: Of each fault.
    """
    rng = torch.Generator().manual_seed(seed)
    img = photo[None]
    frames = [_measured("", 0.0, _moved(img, rng), metrics)]
    for strength in strengths:
        for fault in FAULTS:
            spoilt = _spoilt(img, fault, strength, rng).clamp(0, 1)
            frames.append(_measured(fault, strength, _moved(spoilt, rng), metrics))
    return frames


def compare_frames(frames: Sequence[Frame]) -> Iterator[Outcome]:
    """Let `pick` and each metric choose in each burst of one photo's frames."""
    undegraded, *others = frames
    for kind, faults in BURSTS.items():
        some = [frame for frame in others if frame.fault in faults]
        for strength in dict.fromkeys(frame.strength for frame in some):
            at = [frame for frame in some if frame.strength == strength]
            yield _outcome(kind, strength, [undegraded, *at])
        yield _outcome(kind, None, [undegraded, *some])


def draw_scene(photo: Float[Tensor, "3 h w"], seed: int) -> tuple[Tensor, Sequence[float]]:
    """Draw a photo for the fit, with grain in all frames for odd seeds, and two strengths."""
    rng = torch.Generator().manual_seed(seed)
    *strengths, grain = torch.rand(3, generator=rng).tolist()
    if seed % 2:
        photo = sensor_noise(photo[None], 0.3 * grain, rng, _DENOISING["sensor_noise"])[0]
    return photo, [0.05 + 0.55 * strength for strength in strengths]


def fit_weights(photos: Sequence[Sequence[Frame]]) -> dict[str, float]:
    """Fit the weights of `merit`: logistic regression on differences to the undegraded frame.

    Args:
        photos: Frames of each photo, as `make_frames` gives them.

    Returns:
        Term -> weight, that makes the undegraded frame likely to be the best of each pair.
    """
    pairs = [(frames[0], bad) for frames in photos for bad in frames[1:] if bad.fault in FITTED]
    values = np.array([[list(terms(f.scores[0], f.statistics).values()) for f in p] for p in pairs])
    differences = values[:, 0] - values[:, 1]  # (pairs, terms)
    scale = differences.std(axis=0)
    differences /= scale

    def loss(weights: NDArray[np.float64]) -> float:
        errors = np.logaddexp(0, -differences @ weights)
        return float(errors.mean() + RIDGE * weights @ weights)

    fitted = minimize(loss, np.zeros(len(scale))).x / scale
    return dict(zip(WEIGHTS, fitted.tolist(), strict=True))


def _spoilt(
    img: Float[Tensor, "1 3 h w"], fault: str, strength: float, rng: torch.Generator
) -> Tensor:
    if fault == "underexposure":
        return LINKS["overexposure"].apply(img, -strength, rng)
    if fault in _DENOISING:
        return sensor_noise(img, strength, rng, _DENOISING[fault])
    return LINKS[fault].apply(img, strength, rng)


def _moved(img: Float[Tensor, "1 3 h w"], rng: torch.Generator) -> Tensor:
    """The part of an image that a camera sees which moves by up to `MOVE` px."""
    height, width = (n - 2 * MOVE for n in img.shape[-2:])
    top, left = torch.randint(0, 2 * MOVE + 1, (2,), generator=rng).tolist()
    return img[..., top : top + height, left : left + width].contiguous()


def _measured(
    fault: str, strength: float, img: Float[Tensor, "1 3 h w"], metrics: Sequence[Scorer]
) -> Frame:
    picture = to_picture(img[0])  # 8 bits, as a file has them
    pixels, img = np.asarray(picture), to_tensor(picture, colour="raw")[None]
    scores = tuple(m.sign * m.score_image(img) for m in metrics)
    return Frame(fault, strength, perceptual_hash(pixels), scores, compared_statistics(pixels))


def _outcome(kind: str, strength: float | None, burst: Sequence[Frame]) -> Outcome:
    """The outcome of a burst whose first frame is the undegraded one."""
    values = [(merit(f.scores[0], f.statistics), *f.scores) for f in burst]
    picked = tuple(one[0] > max(one[1:]) for one in zip(*values, strict=True))
    hashes, times = [frame.hash for frame in burst], [float(i) for i in range(len(burst))]
    return Outcome(kind, strength, picked, _is_one(hashes, times), _is_one(hashes, None))


def _is_one(hashes: Sequence[int], times: Sequence[float] | None) -> bool:
    return len(set(group_photos(hashes, times).tolist())) == 1
