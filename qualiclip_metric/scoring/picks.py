"""The best photo of each burst: photos are grouped by content, ranked, and compared.

The scores, the hashes and the statistics come from one decoding of each file. Of each photo a few
numbers are kept until the last one is scored, because only then the groups are known.

Photos of one group show the same content, so that differences of their pixel statistics say which
one is noisier or clipped; the score alone prefers more light and hardly minds mild noise.
"""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np

from qualiclip_metric.build import create
from qualiclip_metric.decoding.capture_time import capture_time
from qualiclip_metric.input_check import MIN_SIZE
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.near_duplicates import SECONDS, group_photos, perceptual_hash
from qualiclip_metric.scoring.batches import Pixels
from qualiclip_metric.scoring.columns import Row
from qualiclip_metric.scoring.options import DIGITS
from qualiclip_metric.scoring.pipeline import score_items
from qualiclip_metric.scoring.reader import Image
from qualiclip_metric.scoring.text_formats import no_formula
from qualiclip_metric.sources.folders import find
from qualiclip_metric.sources.item import Item
from qualiclip_metric.statistics import statistics_of_pixels

if TYPE_CHECKING:
    from pandas import DataFrame


class Pick(NamedTuple):
    """A photo, its group, and whether it is the best of it.

    Args:
        path: Of the photo.
        group: Number of its group, from 1; None where it could not be scored.
        score: In [0, 1]; None where it could not be scored.
        best: Whether it is the best of its group by `merit`; true for a photo that is alone.
        reason: What sets the best apart from the others; for another photo, what sets it back
            behind the best; the error of a photo that could not be scored.
    """

    path: str
    group: int | None
    score: float | None
    best: bool
    reason: str


class Measured(NamedTuple):
    """Values of a photo for grouping and comparing.

    Args:
        hash: As `perceptual_hash` makes it.
        taken: As `capture_time` reads it.
        statistics: As `compared_statistics` computes them at the size that is scored.
    """

    hash: int
    taken: float | None
    statistics: Mapping[str, float]


def measure(image: Image, pixels: Pixels) -> Measured | None:
    """Measure a photo, for `score_items(measure=...)`; None where it is too small for a score."""
    if min(pixels.shape[:2]) < MIN_SIZE:
        return None
    taken = None if isinstance(image, np.ndarray) else capture_time(image)
    return Measured(perceptual_hash(pixels), taken, compared_statistics(pixels))


def compared_statistics(pixels: Pixels) -> dict[str, float]:
    """Compute the pixel statistics by which photos of one content are compared.

    Args:
        pixels: (H, W, 3) RGB, uint8 in 0..255 or float32 in [0, 1].

    Returns:
        Those of `statistics_of_pixels`, and highlights, [0, 1]: the level that one pixel in 10,000
        exceeds in its brightest channel; 1 where white is reached.
    """
    white = 255 if pixels.dtype == np.uint8 else 1
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    brightest = np.maximum(np.maximum(red, green), blue)  # 14 times as fast as max(axis=2)
    highlights = float(np.quantile(brightest, 1 - 1e-4)) / white
    return {**statistics_of_pixels(pixels), "highlights": highlights}


WEIGHTS = {
    "score": 4.14,
    "noise": -1.74,
    "sharpness": 0.50,
    "brightness": -11.42,
    "highlights": 31.74,
}
"""Of the terms of `merit`. The last two let a photo be bright until its highlights reach white, and
not brighter. Fitted by `python -m benchmarks bursts --fit` (docs/lab/bursts.md)."""


def terms(score: float, statistics: Mapping[str, float]) -> dict[str, float]:
    """Compute the terms of `merit`: the score's logit, and logarithms of statistics.

    Args:
        score: In [0, 1].
        statistics: As `compared_statistics` computes them.
    """
    score = min(max(score, 1e-6), 1 - 1e-6)
    step = 1 / 255  # as the others' constants: flat and black photos have finite logarithms
    return {
        "score": math.log(score / (1 - score)),
        "noise": math.log(statistics["noise"] + 0.1),
        "sharpness": math.log(statistics["sharpness"] + 1),
        "brightness": math.log(statistics["brightness"] + step),
        "highlights": math.log(statistics["highlights"] + step),
    }


def merit(score: float, statistics: Mapping[str, float]) -> float:
    """Rate a photo among photos of the same content: the highest is the best.

    Args:
        score: In [0, 1].
        statistics: As `compared_statistics` computes them.
    """
    return sum(WEIGHTS[name] * term for name, term in terms(score, statistics).items())


def pick(
    what: str | Path | Iterable[str | Path],
    model: str | Path | QualiCLIP = "lite",
    *,
    recursive: bool = True,
    seconds: float = SECONDS,
    **options: Any,
) -> "DataFrame":
    """Find the best photo of each burst.

    Args:
        what: A folder, a pattern, or an iterable of files, folders and patterns.
        model: As for `create`, or a metric that `create` made.
        recursive: Whether folders are entered to any depth.
        seconds: Longest time between two photos of a burst, where their EXIF says when they were
            taken.
        options: As for `create`.

    Returns:
        A pandas.DataFrame with the columns of `scoring.picks.Pick`, by groups, the best of each
        first, photos that could not be scored last; the metric's signature is in `attrs`.

    Raises:
        ValueError: If there is no image, or an argument is wrong.
    """
    import pandas as pd

    metric = model if isinstance(model, QualiCLIP) else create(str(model), **options)
    files = find([what] if isinstance(what, str | Path) else what, recursive)
    rows = score_items(metric, (Item(str(file), file) for file in files), measure=measure)
    table = pd.DataFrame(pick_rows(rows, seconds), columns=list(Pick._fields))
    table["group"] = table["group"].astype("Int64")
    table.attrs["signature"] = str(metric.signature and metric.signature.of_files("srgb"))
    return table


def pick_rows(rows: Iterable[Row], seconds: float = SECONDS) -> list[Pick]:
    """Group rows of photos, and pick the best of each group.

    Args:
        rows: As `score_items(measure=measure)` yields them.
        seconds: As for `group_photos`.

    Returns:
        By groups, the best of each first; photos that could not be scored last.
    """
    scored: list[Row] = []
    failed: list[Pick] = []
    for row in rows:
        if row.score is None:
            failed.append(Pick(row.key, None, None, False, row.error or ""))
        else:
            scored.append(row)
    measured = [row.measured for row in scored]
    numbers = group_photos([m.hash for m in measured], [m.taken for m in measured], seconds)
    groups: dict[int, list[Row]] = defaultdict(list)
    for row, number in zip(scored, numbers.tolist(), strict=True):
        groups[number + 1].append(row)
    return [pick for number in groups for pick in _ranked(number, groups[number])] + failed


def _ranked(number: int, rows: Sequence[Row]) -> Iterator[Pick]:
    """The picks of one group, the best first; of equal photos the first."""
    best, *others = sorted(rows, key=lambda row: -merit(*_measured(row)))
    weaknesses = [_weaknesses(best, other) or [_faintest_weakness(best, other)] for other in others]
    # what a photo with a higher score lacks is named first, then what most of the others lack
    reasons = [
        WEAKNESSES[weakness]
        for other, found in zip(others, weaknesses, strict=True)
        for weakness in found
        if (other.score or 0) > (best.score or 0)
    ]
    counts = Counter(WEAKNESSES[weakness] for found in weaknesses for weakness in found)
    reasons += [reason for reason, _ in counts.most_common()]
    reason = ", ".join(dict.fromkeys(reasons)) or "no near duplicate"
    yield Pick(best.key, number, best.score, True, reason)
    for other, found in zip(others, weaknesses, strict=True):
        yield Pick(other.key, number, other.score, False, ", ".join(found))


def _measured(row: Row) -> tuple[float, Mapping[str, float]]:
    return row.score or 0, row.measured.statistics


WEAKNESSES = {
    "less sharp": "sharper",
    "more noise": "less noise",
    "overexposed": "better exposed",
    "underexposed": "better exposed",
    "brighter": "darker",
    "darker": "brighter",
    "less contrast": "more contrast",
    "more JPEG blocks": "fewer JPEG blocks",
    "lower score": "higher score",
    "slightly less sharp": "slightly sharper",
    "slightly more noise": "slightly less noise",
    "slightly worse exposed": "slightly better exposed",
    "no difference": "no difference",
}
"""Weakness of another photo -> the matching strength of the best."""


def _weaknesses(best: Row, other: Row) -> list[str]:
    """List the visible weaknesses of another photo beside the best."""
    good, bad = best.measured.statistics, other.measured.statistics
    brighter = bad["brightness"] - good["brightness"]
    clipped = {
        end: bad[f"clipped_{end}"] - good[f"clipped_{end}"] > 0.02 for end in ("bright", "dark")
    }
    noisier = _at_contrast(bad, "noise") > 1.25 * _at_contrast(good, "noise")
    noisier &= bad["noise"] - good["noise"] > 0.2  # grey levels
    exposed = "overexposed" if clipped["bright"] and brighter > 0 else ""
    exposed = "underexposed" if clipped["dark"] and brighter < 0 else exposed
    if not exposed and abs(brighter) > 0.08:
        exposed = "brighter" if brighter > 0 else "darker"
    found = {
        # noise counts as detail to the Laplacian
        "less sharp": not noisier
        and _at_contrast(bad, "sharpness") < 0.7 * _at_contrast(good, "sharpness"),
        "more noise": noisier,
        exposed: bool(exposed),
        "less contrast": bad["contrast"] < 0.8 * good["contrast"],
        "more JPEG blocks": bad["blockiness"] > 1.2 * good["blockiness"],
    }
    return [weakness for weakness, holds in found.items() if holds]


def _faintest_weakness(best: Row, other: Row) -> str:
    """Name the term of `merit` that decided, where no difference is large enough to be seen."""
    good, bad = terms(*_measured(best)), terms(*_measured(other))
    loss = {name: weight * (good[name] - bad[name]) for name, weight in WEIGHTS.items()}
    loss = {
        "lower score": loss["score"],
        "slightly less sharp": loss["sharpness"],
        "slightly more noise": loss["noise"],
        "slightly worse exposed": loss["brightness"] + loss["highlights"],
    }
    weakness = max(loss, key=lambda name: loss[name])
    return weakness if loss[weakness] > 0 else "no difference"


def _at_contrast(statistics: Mapping[str, float], name: str) -> float:
    """Sharpness or noise beside the contrast: both grow with the light, which is no merit."""
    unit = {"sharpness": 2, "noise": 1}[name]  # squared grey levels; grey levels
    return statistics[name] / max(statistics["contrast"], 1e-3) ** unit


def write_csv(file: TextIO, picks: Iterable[Pick]) -> None:
    """Write picks as csv; a name that a spreadsheet would take for a formula gets an apostrophe."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(Pick._fields)
    for one in picks:
        score = "" if one.score is None else f"{one.score:.{DIGITS}f}"
        group = "" if one.group is None else one.group
        lines.writerow([no_formula(one.path), group, score, str(one.best).lower(), one.reason])
