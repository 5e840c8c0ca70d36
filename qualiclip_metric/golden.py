"""Golden scores: freeze a metric's values on a few known images, later say which of them moved.

For continuous integration, ours and anybody's. Knows a callable, a JSON file and images that code
makes or scikit-image ships; knows no checkpoint, no dataset and no command line. Light on purpose:
the pytest plugin ``golden_pytest`` imports it in every test run of an environment, so numpy, torch
and scikit-image are imported only when a score is made.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Pixels = NDArray[np.uint8]

FORMAT = 1
TOLERANCE = 1e-4
REASON = (
    "fp32 sums differ between CPUs, thread counts and BLAS builds, far less than this in a score "
    "on [0, 1]; a changed weight, prompt or preprocessing moves it by more"
)


class GoldenError(ValueError):
    """A golden file that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Golden:
    """Frozen scores.

    Attributes:
        metric: How the metric was named when it was frozen.
        signature: What its scores depend on, ``|``-separated parts.
        tolerance: Largest difference that is no change.
        reason: Why the tolerance is what it is.
        scores: Image name -> score.
    """

    metric: str
    signature: str
    tolerance: float
    reason: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Moved:
    """One score that is not what it was."""

    image: str
    expected: float
    got: float


@dataclass(frozen=True)
class Report:
    """Outcome of a check: what moved, which parts of the signature changed.

    ``largest`` is the largest absolute difference over all images, moved or not.
    """

    golden: Golden
    moved: tuple[Moved, ...]
    largest: float
    changes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every value is within its tolerance; a changed signature alone is no failure."""
        return not self.moved

    def text(self) -> str:
        """The report, for people."""
        g = self.golden
        head = f"{g.metric}: {len(g.scores) - len(self.moved)} of {len(g.scores)} scores held"
        lines = [f"{head}, largest difference {self.largest:.2g}, tolerance {g.tolerance:g}"]
        lines += [f"  reason of the tolerance: {g.reason}"] if self.moved else []
        lines += [
            f"  {m.image}: expected {m.expected:.6g}, got {m.got:.6g} ({m.got - m.expected:+.2g})"
            for m in self.moved
        ]
        lines += [f"  signature: {change}" for change in self.changes]
        if self.moved and not self.changes:
            lines.append(
                "  the signature is the same: look at the code, the libraries or the machine"
            )
        return "\n".join(lines)


def freeze(
    metric: Callable[["Tensor"], "Tensor"],
    path: str | Path,
    *,
    name: str = "metric",
    signature: str | None = None,
    tolerance: float = TOLERANCE,
    reason: str = REASON,
    images: Sequence[str] | None = None,
) -> Golden:
    """Score the known images and write the golden file.

    Args:
        metric: (1, 3, H, W) RGB in [0, 1] -> one score.
        path: JSON file to write.
        name: How the metric is called.
        signature: What the scores depend on; default: the metric's attribute ``signature``.
        tolerance: Largest absolute difference that is no change.
        reason: Why that tolerance.
        images: Names out of :data:`IMAGES`; default: all.

    Raises:
        ValueError: A negative tolerance, an unknown image, or a score that is not finite.
    """
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of at least 0, got {tolerance}")
    golden = Golden(
        metric=name,
        signature=_signature(metric, signature),
        tolerance=tolerance,
        reason=reason,
        scores=score(metric, list(IMAGES) if images is None else images),
    )
    record = {
        "format": FORMAT,
        "metric": golden.metric,
        "signature": golden.signature,
        "tolerance": golden.tolerance,
        "reason": golden.reason,
        "scores": dict(golden.scores),
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return golden


def load(path: str | Path) -> Golden:
    """Read a golden file.

    Raises:
        GoldenError: It is missing, or not a golden file of this format.
    """
    file = Path(path)
    if not file.is_file():
        raise GoldenError(f"no golden file {file}; freeze it once and commit it")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise GoldenError(f"{file}: expected format {FORMAT}, got {record['format']}")
        return Golden(
            metric=str(record["metric"]),
            signature=str(record["signature"]),
            tolerance=float(record["tolerance"]),
            reason=str(record["reason"]),
            scores={str(k): float(v) for k, v in record["scores"].items()},
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as err:
        raise GoldenError(f"{file} is no golden file: {err!r}; freeze it again") from err


def check(
    metric: Callable[["Tensor"], "Tensor"], golden: Golden, *, signature: str | None = None
) -> Report:
    """Score the images of a golden file again and compare.

    Args:
        metric: As for :func:`freeze`.
        golden: What :func:`load` gave.
        signature: The signature now; default: the metric's attribute ``signature``.
    """
    now = score(metric, list(golden.scores))
    moved = tuple(
        Moved(image, expected, now[image])
        for image, expected in golden.scores.items()
        if not abs(now[image] - expected) <= golden.tolerance
    )
    largest = max((abs(now[image] - was) for image, was in golden.scores.items()), default=0.0)
    return Report(golden, moved, largest, changes(golden.signature, _signature(metric, signature)))


def changes(before: str, after: str) -> tuple[str, ...]:
    """Which ``|``-separated parts of a signature changed, ``key:value`` parts by their key."""
    old, new = _parts(before), _parts(after)
    texts = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if a != b:
            texts.append(f"{key} {a if a is not None else '–'} -> {b if b is not None else '–'}")
    return tuple(texts)


def score(metric: Callable[["Tensor"], "Tensor"], images: Sequence[str]) -> dict[str, float]:
    """Scores of known images, one image at a time.

    Raises:
        GoldenError: An unknown image name, or a score that is not one finite number.
    """
    import torch

    scores = {}
    for name in images:
        if name not in IMAGES:
            raise GoldenError(f"unknown image {name!r}; expected one of {', '.join(IMAGES)}")
        pixels = torch.from_numpy(IMAGES[name]().copy()).permute(2, 0, 1)
        with torch.no_grad():
            values = torch.as_tensor(metric(pixels[None].float() / 255)).flatten().tolist()
        if len(values) != 1 or not abs(values[0]) < float("inf"):
            raise GoldenError(f"{name}: expected one finite score, got {values}")
        scores[name] = float(values[0])
    return scores


def _signature(metric: object, given: str | None) -> str:
    return str(getattr(metric, "signature", "")) if given is None else given


_BARE = (
    ("version", r"v\d.*"),
    ("precision", r"(fp|bf)\d+"),
    ("engine", r"openvino"),
    ("model", r".*"),
)
"""Names of the parts that have no ``key:``, by what they look like."""


def _parts(signature: str) -> dict[str, str]:
    """``lite|weights:9f2c|v0.1.0`` -> {model: lite, weights: 9f2c, version: v0.1.0}."""
    parts: dict[str, str] = {}
    for part in signature.split("|") if signature else []:
        key, colon, value = part.partition(":")
        if not colon:
            key, value = next(name for name, form in _BARE if re.fullmatch(form, part)), part
        parts[key] = f"{parts[key]}|{value}" if key in parts else value
    return parts


def _gradient() -> "Pixels":
    """A smooth colour ramp, 160x224."""
    import numpy as np

    y, x = np.mgrid[0:160, 0:224]
    return np.stack([x * 255 // 223, y * 255 // 159, (x + y) * 255 // 382], axis=2).astype(np.uint8)


def _checker() -> "Pixels":
    """Sharp 16-pixel squares, 192x192."""
    import numpy as np

    y, x = np.mgrid[0:192, 0:192]
    grey = np.where((x // 16 + y // 16) % 2 == 0, 230, 25).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _noise() -> "Pixels":
    """Noise of a linear congruential generator, 128x160: the same on every platform."""
    import numpy as np

    state, values = 12345, np.empty(128 * 160 * 3, dtype=np.uint8)
    for index in range(len(values)):
        state = (1103515245 * state + 12345) % 2**31
        values[index] = state >> 16 & 255
    return values.reshape(128, 160, 3)


def _photo(name: str) -> Callable[[], "Pixels"]:
    """A photo that scikit-image ships."""

    def load_photo() -> "Pixels":
        try:
            from skimage import data
        except ImportError as err:
            raise ImportError(
                "golden photos need scikit-image: pip install 'qualiclip-metric[test]'"
            ) from err
        photo: Pixels = getattr(data, name)()[..., :3]
        return photo

    return load_photo


def _blurred(photo: Callable[[], "Pixels"]) -> Callable[[], "Pixels"]:
    """A 9x9 box blur in integers."""

    def blur() -> "Pixels":
        import numpy as np

        sums = photo().astype(np.int64)
        for axis in (0, 1):
            widths = [(4, 4) if a == axis else (0, 0) for a in range(3)]
            padded = np.pad(sums, widths, mode="edge")
            count = sums.shape[axis]
            sums = np.stack(
                [np.take(padded, range(i, i + count), axis=axis) for i in range(9)]
            ).sum(axis=0)
        blurred: Pixels = (sums // 81).astype(np.uint8)
        return blurred

    return blur


def _speckled(photo: Callable[[], "Pixels"]) -> Callable[[], "Pixels"]:
    """The photo plus the congruential noise, tiled."""

    def speckle() -> "Pixels":
        import numpy as np

        pixels = photo().astype(np.int64)
        height, width, _ = pixels.shape
        tiles = (height // 128 + 1, width // 160 + 1, 1)
        noise = np.tile(_noise().astype(np.int64), tiles)[:height, :width]
        noisy: Pixels = np.clip(pixels + (noise - 128) // 3, 0, 255).astype(np.uint8)
        return noisy

    return speckle


_CAT = _photo("chelsea")

IMAGES: dict[str, Callable[[], "Pixels"]] = {
    "code/gradient": _gradient,
    "code/checker": _checker,
    "code/noise": _noise,
    "skimage/astronaut": _photo("astronaut"),
    "skimage/coffee": _photo("coffee"),
    "skimage/rocket": _photo("rocket"),
    "skimage/chelsea": _CAT,
    "skimage/chelsea, blurred": _blurred(_CAT),
    "skimage/chelsea, noisy": _speckled(_CAT),
}
"""The known images: name -> function that gives (H, W, 3) uint8 RGB."""
