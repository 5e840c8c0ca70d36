"""Whether a model's diagnosis names the fault of a photo that was degraded by one distortion."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qualiclip_metric.distortions import DISTORTIONS, FAULT_OF, LEVELS, versions

__all__ = ["correct_shares", "fault_shares", "types_by_fault"]

Array = NDArray[np.float64]


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


def fault_shares(
    diagnose: Callable[[Tensor], Array],
    photo: Tensor,
    faults: Sequence[str],
    seed: int,
    least: int = 2,
) -> tuple[Array, Array]:
    """Diagnose a photo and its degraded versions.

    Args:
        diagnose: (1, 3, H, W) -> (1 + faults,) probabilities: no fault, then each fault, as
            `QualiCLIP.diagnose` gives them.
        photo: (3, H, W) RGB in [0, 1], undegraded.
        faults: Names of the faults, in the order of the probabilities.
        seed: Of the distortions.
        least: The mildest level to diagnose; milder ones are hard to see.

    Returns:
        The photo's own probabilities, (1 + faults,), and shares, (faults, 2, 1 + faults): how
        many of the versions with each fault (its types, at all levels) got each answer. Index 0
        of the second axis allows the answer "no fault"; index 1 leaves it out, so that its
        share is 0.
    """
    shares = np.zeros((len(faults), 2, 1 + len(faults)))
    levels = range(least, LEVELS + 1)
    for row, names in enumerate(types_by_fault(faults).values()):
        for _, _, version in versions(photo[None], seed, names, levels):
            probabilities = diagnose(version)
            shares[row, 0, probabilities.argmax()] += 1
            shares[row, 1, 1 + probabilities[1:].argmax()] += 1
        shares[row] /= len(names) * len(levels)
    return diagnose(photo[None]), shares


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
