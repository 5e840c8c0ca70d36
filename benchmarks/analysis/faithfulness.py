"""Faithfulness of maps and profiles: faults are put into a known region, or a whole photo."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.analysis.localisation import BASELINES, FIGURES, composite, random_region
from benchmarks.stats.bootstrap import interval, mean_samples
from qualiclip_metric.distortions import distort, versions
from qualiclip_metric.explanations import METHODS, explain
from qualiclip_metric.explanations.positions import has_positions
from qualiclip_metric.metric import QualiCLIP

__all__ = [
    "EXPECTED",
    "LEVELS",
    "LOCAL",
    "WHOLE",
    "baselines",
    "confusion",
    "localisation_summary",
    "localise",
    "maps_of",
    "profile_drops",
]

Array = NDArray[np.float64]
Map = Callable[[Tensor], Tensor]
EXACT = ("positions", "shares")
"""Maps that only an encoder with an average over positions has."""
LEVELS = (3, 5)

LOCAL: Mapping[str, str] = {
    "blur": "gaublur",
    "noise": "whitenoise",
    "JPEG": "jpeg",
    "exposure": "brighten",
    "block loss": "noneccpatch",
}
"""Fault inside a region -> type of distortion. Lost blocks show what lies beside them."""

DOWNSCALING: Mapping[int, int] = {1: 2, 2: 2, 3: 3, 4: 4, 5: 6}
"""Level -> factor of a resize down and up again; it is no type of `DISTORTIONS`."""

WHOLE: Mapping[str, tuple[str, ...]] = {
    "blur": ("gaublur", "lensblur", "motionblur"),
    "noise": ("whitenoise", "whitenoiseCC", "impulsenoise", "multnoise"),
    "downscaling": ("downscale", "pixelate"),
    "compression": ("jpeg", "jpeg2000"),
    "exposure": ("brighten", "darken"),
    "colour": ("colorsat1", "colorsat2"),
}
"""Fault of a whole photo -> types of distortion; ``downscale`` is made here: `DOWNSCALING`."""

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "blur": ("Blurry image.", "Blurry edges."),
    "noise": ("Noisy image.",),
    "downscaling": ("Low-resolution image.",),
}
"""Fault -> negative prompts that name it; no prompt names the others."""


def maps_of(metric: QualiCLIP, methods: Sequence[str] | None = None) -> dict[str, Map]:
    """Build maps whose high values mean low quality; by default all that the encoder allows.

    ``positive`` is high where an image is good, so its complement to 1 is taken.
    """
    possible = [method for method in METHODS if method not in EXACT or has_positions(metric)]
    if unknown := sorted(set(methods or ()) - set(possible)):
        raise ValueError(f"map: expected some of {', '.join(possible)}, got {', '.join(unknown)}")

    def as_map(method: str) -> Map:
        def explained(image: Tensor) -> Tensor:
            values = explain(metric, image, method=method)
            return 1 - values if method == "positive" else values

        return explained

    return {method: as_map(method) for method in methods or possible}


def baselines(seed: int) -> dict[str, Map]:
    """Name -> map of a model-free baseline; the random one differs from call to call."""
    rng = torch.Generator().manual_seed(seed)

    def as_map(name: str) -> Map:
        return lambda image: BASELINES[name](image, rng)

    return {name: as_map(name) for name in BASELINES}


def localise(photo: Tensor, maps: Mapping[str, Map], *, seed: int) -> Array:
    """Measure how well every map finds every fault in one photo: (maps, faults, levels, figures).

    The photo is (3, H, W). Every fault has a random region of its own, the same at all levels.
    """
    found = np.empty((len(maps), len(LOCAL), len(LEVELS), len(FIGURES)))
    for f, (inside, images) in enumerate(_faulty(photo[None], seed)):
        for k, version in enumerate(images):
            for m, make in enumerate(maps.values()):
                values = make(version)[0, 0].double().numpy(force=True)
                found[m, f, k] = [figure(values, inside) for figure in FIGURES.values()]
    return found


def _faulty(image: Tensor, seed: int) -> Iterator[tuple[NDArray[np.bool_], list[Tensor]]]:
    """For every fault, its region and the image with the fault inside it at every level."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[-2:]
    for name in LOCAL.values():
        inside = random_region(height, width, rng)
        yield (
            inside,
            [
                composite(image, version, inside)
                for _, _, version in versions(image, seed, [name], LEVELS)
            ],
        )


def localisation_summary(
    found: Array, names: Sequence[str], *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Average `localise` over photos (first axis): rows of ``map`` and ``fault``.

    ``fault`` is "all", a fault, or "level 3". A figure is ``[mean, low, high]`` with the 95%
    bootstrap interval.
    """
    parts = {"all": found.mean(axis=(2, 3))}
    parts |= {f"level {level}": found[:, :, :, k].mean(axis=2) for k, level in enumerate(LEVELS)}
    parts |= {fault: found[:, :, f].mean(axis=2) for f, fault in enumerate(LOCAL)}
    records = []
    for m, name in enumerate(names):
        for fault, values in parts.items():
            own = values[:, m]
            samples = mean_samples(own, resamples=resamples, seed=seed)
            bounds = [interval(column) for column in samples.T]
            triples = [
                [float(mean), bound.low, bound.high]
                for mean, bound in zip(own.mean(axis=0), bounds, strict=True)
            ]
            records.append(
                {"map": name, "fault": fault, **dict(zip(FIGURES, triples, strict=True))}
            )
    return records


def profile_drops(metric: QualiCLIP, photo: Tensor, *, seed: int) -> dict[str, Array]:
    """Measure the drop of each pair's probability: fault of `WHOLE` -> (types x levels, pairs)."""
    with torch.inference_mode():
        own = metric.probabilities(photo[None].to(metric.device))[0]
        return {
            fault: torch.stack(
                [
                    own - metric.probabilities(_whole(photo[None], name, level, seed))[0]
                    for name in names
                    for level in LEVELS
                ]
            )
            .double()
            .numpy(force=True)
            for fault, names in WHOLE.items()
        }


def _whole(image: Tensor, name: str, level: int, seed: int) -> Tensor:
    if name != "downscale":
        return distort(image, name, level, torch.Generator().manual_seed(seed))
    size = list(image.shape[-2:])
    small = [max(1, round(side / DOWNSCALING[level])) for side in size]
    shrunk = interpolate(image, small, mode="bicubic", antialias=True, align_corners=False)
    return interpolate(shrunk, size, mode="bicubic", align_corners=False).clamp(0, 1)


def confusion(
    drops: Sequence[Mapping[str, Array]],
    negatives: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Find the pair whose probability drops most under every fault: rows of a confusion matrix.

    A row has ``fault``, ``shares`` (of the faulty photos, per pair), ``expected`` (indices of the
    pairs that name the fault) and, if there are any, ``right`` [share, low, high] and ``chance``.
    """
    rows = []
    for fault in WHOLE:
        winners = np.stack([photo[fault].argmax(axis=-1) for photo in drops])
        hits = winners[..., None] == np.arange(len(negatives))
        shares = hits.mean(axis=1)
        expected = [i for i, text in enumerate(negatives) if text in EXPECTED.get(fault, ())]
        row: dict[str, Any] = {"fault": fault, "shares": shares.mean(axis=0).tolist()}
        row["expected"] = expected
        if expected:
            own = shares[:, expected].sum(axis=1, keepdims=True)
            bound = interval(mean_samples(own, resamples=resamples, seed=seed)[:, 0])
            row["right"] = [float(own.mean()), bound.low, bound.high]
            row["chance"] = len(expected) / len(negatives)
        rows.append(row)
    return rows
