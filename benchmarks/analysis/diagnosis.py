"""Whether a diagnosis names the fault of a degraded photo, and none of an undegraded one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, FAULT_OF, LEVELS, versions

__all__ = [
    "Calibration",
    "calibration",
    "correct_shares",
    "diagnoses",
    "fault_shares",
    "types_by_fault",
]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
BINS = 10
"""Bins of the reliability curve, equally wide."""


class Calibration(NamedTuple):
    """Probability of the answer against how often it is right (Guo et al., arXiv 1706.04599).

    Args:
        said: Mean probability of the answer in each bin; NaN in an empty one.
        right: Share of right answers in each bin.
        share: Share of the answers in each bin.
        error: Expected calibration error: mean of |said - right| over the answers.
    """

    said: Array
    right: Array
    share: Array
    error: float


def types_by_fault(faults: Sequence[str]) -> dict[str, list[str]]:
    """Map each fault to the distortion types that show it.

    Raises:
        ValueError: No type shows one of the faults.
    """
    found = {
        fault: [name for name in DISTORTIONS if FAULT_OF.get(name) == fault] for fault in faults
    }
    if missing := [fault for fault, names in found.items() if not names]:
        raise ValueError(f"no distortion type shows {', '.join(missing)}")
    return found


def diagnoses(
    diagnose: Callable[[Tensor], Array],
    photo: Tensor,
    faults: Sequence[str],
    seed: int,
    least: int = 2,
) -> tuple[Labels, Array]:
    """Diagnose a photo and its degraded versions, rounded to 8 bits as in a file.

    Args:
        diagnose: (1, 3, H, W) -> (1 + faults,) probabilities: no fault, then each fault, as
            `QualiCLIP.diagnose` gives them.
        photo: (3, H, W) RGB in [0, 1], undegraded.
        faults: Names of the faults, in the order of the probabilities.
        seed: Of the distortions.
        least: The mildest level to diagnose; milder ones are hard to see.

    Returns:
        The right answers, 0 for the photo itself, which comes first; and the probabilities,
        (versions, 1 + faults).
    """
    labels, found = [0], [diagnose(photo[None])]
    for place, names in enumerate(types_by_fault(faults).values(), 1):
        for _, _, version in versions(photo[None], seed, names, range(least, LEVELS + 1)):
            labels.append(place)
            found.append(diagnose((version * 255).round() / 255))
    return np.array(labels), np.stack(found)


def fault_shares(labels: Labels, probabilities: Array) -> Array:
    """Share of the versions with each fault that got each answer.

    Args:
        labels: As from `diagnoses`.
        probabilities: As from `diagnoses`.

    Returns:
        (faults, 2, 1 + faults). Index 0 of the second axis allows the answer "no fault"; index 1
        leaves it out, so that its share is 0.
    """
    count = probabilities.shape[1]
    shares = np.zeros((count - 1, 2, count))
    for fault in range(1, count):
        of_fault = probabilities[labels == fault]
        for axis, answers in enumerate(
            [of_fault.argmax(axis=1), 1 + of_fault[:, 1:].argmax(axis=1)]
        ):
            shares[fault - 1, axis] = np.bincount(answers, minlength=count) / len(of_fault)
    return shares


def correct_shares(shares: Array) -> Array:
    """Share of each photo's versions whose fault is named correctly, averaged over the faults.

    Its mean over photos is the balanced accuracy.

    Args:
        shares: (photos, faults, 2, 1 + faults) from `fault_shares`.

    Returns:
        (photos, 2): with "no fault" as an answer, and without it.
    """
    faults = np.arange(shares.shape[1])
    return np.asarray(shares[:, faults, :, 1 + faults].mean(axis=0))


def calibration(labels: Labels, probabilities: Array, prior: float) -> Calibration:
    """Reliability of the likeliest answer.

    Args:
        labels: As from `diagnoses`, of all photos.
        probabilities: As from `diagnoses`.
        prior: Share of undegraded images that the answers are weighted to; the faults share the
            rest equally.
    """
    count = probabilities.shape[1]
    parts = np.array([prior, *[(1 - prior) / (count - 1)] * (count - 1)])
    weight = (parts / np.bincount(labels, minlength=count))[labels]
    said = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    share = np.bincount(place, weight, BINS).astype(float)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, weight * values, BINS) / share for values in (said, right)]
    error = float(np.nansum(share * np.abs(means[0] - means[1])))
    return Calibration(means[0], means[1], share, error)
