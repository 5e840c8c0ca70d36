"""Faults put into a known place, and into whole photos: do maps and profiles find them?

Knows metrics, maps and distortions. Must not know files, tables or the command line.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.analysis.localisation import BASELINES, FIGURES, composite, region
from benchmarks.stats.bootstrap import interval, mean_samples
from qualiclip_metric.distortions import distort
from qualiclip_metric.explanations import METHODS, explain
from qualiclip_metric.metric import QualiCLIP

__all__ = [
    "EXPECTED",
    "LEVELS",
    "LOCAL",
    "WHOLE",
    "baselines",
    "confusion",
    "located",
    "maps_of",
    "profile_falls",
    "summarise",
]

Floats = NDArray[np.float64]
Map = Callable[[Tensor], Tensor]
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
"""Level -> factor of a resize down and up again; it is none of the 24 types."""

WHOLE: Mapping[str, tuple[str, ...]] = {
    "blur": ("gaublur", "lensblur", "motionblur"),
    "noise": ("whitenoise", "whitenoiseCC", "impulsenoise", "multnoise"),
    "downscaling": ("downscale", "pixelate"),
    "compression": ("jpeg", "jpeg2000"),
    "exposure": ("brighten", "darken"),
    "colour": ("colorsat1", "colorsat2"),
}
"""Fault of a whole photo -> types of distortion. ``downscale`` is ours: see `DOWNSCALING`."""

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "blur": ("Blurry image.", "Blurry edges."),
    "noise": ("Noisy image.",),
    "downscaling": ("Low-resolution image.",),
}
"""Fault -> negative prompts that name it; no prompt names the others."""


def maps_of(metric: QualiCLIP) -> dict[str, Map]:
    """Name -> map that says BAD, for every method of `METHODS`.

    ``positive`` says good, so 1 less it is taken.
    """

    def of(method: str) -> Map:
        def made(image: Tensor) -> Tensor:
            values = explain(metric, image, method=method)
            return 1 - values if method == "positive" else values

        return made

    return {method: of(method) for method in METHODS}


def baselines(seed: int) -> dict[str, Map]:
    """Name -> map of no model; the random one is another at every call."""
    rng = torch.Generator().manual_seed(seed)

    def of(name: str) -> Map:
        return lambda image: BASELINES[name](image, rng)

    return {name: of(name) for name in BASELINES}


def located(photo: Tensor, maps: Mapping[str, Map], *, seed: int) -> Floats:
    """Figures of every map, fault and level on one photo: (maps, faults, levels, figures).

    Args:
        photo: (3, H, W) RGB in [0, 1].
        maps: Name -> (1, 3, H, W) -> (1, 1, H, W).
        seed: Of places and faults. Every fault has a place of its own, the same at all levels.
    """
    found = np.empty((len(maps), len(LOCAL), len(LEVELS), len(FIGURES)))
    for f, (inside, versions) in enumerate(_faulty(photo[None], seed)):
        for k, version in enumerate(versions):
            for m, make in enumerate(maps.values()):
                values = make(version)[0, 0].double().numpy(force=True)
                found[m, f, k] = [figure(values, inside) for figure in FIGURES.values()]
    return found


def _faulty(image: Tensor, seed: int) -> Iterator[tuple[NDArray[np.bool_], list[Tensor]]]:
    """For every fault, its region and the image with the fault inside it at every level."""
    places = np.random.default_rng(seed)
    height, width = image.shape[-2:]
    for name in LOCAL.values():
        inside = region(height, width, places)
        versions = [
            distort(image, name, level, torch.Generator().manual_seed(seed)) for level in LEVELS
        ]
        yield inside, [composite(image, version, inside) for version in versions]


def summarise(
    found: Floats, names: Sequence[str], *, draws: int, seed: int
) -> list[dict[str, Any]]:
    """Mean figures with 95% bootstrap intervals over photos, per map, per fault and over all.

    Args:
        found: (photos, maps, faults, levels, figures) from `located`.
        names: Of the maps.
        draws: Bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        Records ``map``, ``fault`` ("all", a fault, or "level 3"), then per figure
        ``[mean, low, high]``.
    """
    parts = {"all": found.mean(axis=(2, 3))}
    parts |= {f"level {level}": found[:, :, :, k].mean(axis=2) for k, level in enumerate(LEVELS)}
    parts |= {fault: found[:, :, f].mean(axis=2) for f, fault in enumerate(LOCAL)}
    records = []
    for m, name in enumerate(names):
        for fault, values in parts.items():
            own = values[:, m]
            samples = mean_samples(own, resamples=draws, seed=seed)
            bounds = [interval(column) for column in samples.T]
            triples = [
                [float(mean), bound.low, bound.high]
                for mean, bound in zip(own.mean(axis=0), bounds, strict=True)
            ]
            records.append(
                {"map": name, "fault": fault, **dict(zip(FIGURES, triples, strict=True))}
            )
    return records


def profile_falls(metric: QualiCLIP, photo: Tensor, *, seed: int) -> dict[str, Floats]:
    """How far each pair's probability falls when the whole photo has a fault.

    Args:
        metric: The model.
        photo: (3, H, W) RGB in [0, 1].
        seed: Of the faults.

    Returns:
        Fault of `WHOLE` -> (types x levels, pairs); positive is a fall.
    """
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
    falls: Sequence[Mapping[str, Floats]],
    negatives: Sequence[str],
    *,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Which pair falls most, for every fault: a row of the confusion matrix each.

    Args:
        falls: From `profile_falls`, one per photo.
        negatives: Negative prompt of every pair.
        draws: Bootstrap samples of the photos.
        seed: Of the bootstrap.

    Returns:
        Records ``fault``, ``shares`` (of the faulty photos, per pair), ``expected`` (indices of the
        pairs that name the fault), and where there are such: ``right`` as [share, low, high], and
        ``chance``.
    """
    rows = []
    for fault in WHOLE:
        winners = np.stack([photo[fault].argmax(axis=-1) for photo in falls])
        hits = winners[..., None] == np.arange(len(negatives))
        shares = hits.mean(axis=1)
        expected = [i for i, text in enumerate(negatives) if text in EXPECTED.get(fault, ())]
        row: dict[str, Any] = {"fault": fault, "shares": shares.mean(axis=0).tolist()}
        row["expected"] = expected
        if expected:
            own = shares[:, expected].sum(axis=1, keepdims=True)
            bound = interval(mean_samples(own, resamples=draws, seed=seed)[:, 0])
            row["right"] = [float(own.mean()), bound.low, bound.high]
            row["chance"] = len(expected) / len(negatives)
        rows.append(row)
    return rows
