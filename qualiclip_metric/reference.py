"""References: the distribution of the scores of many photos, by which a score gets a percentile.

    reference = Reference.of(scores, "my camera", signature)
    reference.percentile(0.41)    # percent of its photos that score lower
    reference.save("ref.json")    # `qualiclip reference --images photos/ --out ref.json`

`lite`'s own is data/lite-reference.json: 1,127 everyday photos from the data sets CLIVE and
BIQ2021, their scores alone.
"""

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path

from qualiclip_metric.files import write_text
from qualiclip_metric.scoring.options import DIGITS, PERCENTILE_DIGITS
from qualiclip_metric.signature import same_scale

SHIPPED = Path(__file__).parent / "data" / "lite-reference.json"
FEWEST = 20
"""Fewest photos of a reference: a percentile among 20 photos has a standard error of up to 11."""
_FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """Distribution of the scores of some photos; ValueError if a field is not as below."""

    name: str  # of the photos, such as `everyday photos`; without `|` and line ends
    photos: int  # how many
    signature: str  # of their scores, as one line
    # scores at the quantiles 0, 1, ..., 100 %: 101 numbers in ascending order
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.name.isprintable() or "|" in self.name or not self.name:
            raise ValueError(
                f"reference: expected a name without | and line ends, got {self.name!r}"
            )
        if self.photos < FEWEST:
            raise ValueError(
                f"reference: expected at least {FEWEST} scored photos, got {self.photos}"
            )
        ordered = all(low <= high for low, high in pairwise(self.quantiles))
        if len(self.quantiles) != 101 or not ordered or not all(map(math.isfinite, self.quantiles)):
            raise ValueError("reference: expected 101 quantiles in ascending order")

    @classmethod
    def of(cls, scores: Sequence[float], name: str, signature: str) -> "Reference":
        """Make the reference of some photos' scores."""
        import numpy as np

        cuts = np.quantile(scores, np.linspace(0, 1, 101)) if len(scores) else np.zeros(101)
        return cls(name, len(scores), signature, tuple(round(float(cut), DIGITS) for cut in cuts))

    def percentile(self, score: float) -> float:
        """Percent of the photos that score lower, in [0, 100]; between quantiles interpolated."""
        above = bisect_left(self.quantiles, score)  # so many quantiles are lower
        if above in (0, 101):
            return min(100.0, float(above))
        low, high = self.quantiles[above - 1 : above + 1]
        return round(above - 1 + (score - low) / (high - low), PERCENTILE_DIGITS)

    def place(self, score: float) -> str:
        """Where a score stands, as in `above 61 % of 1,127 everyday photos`."""
        return f"above {self.percentile(score):.0f} % of {self.photos:,} {self.name}"

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, 64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name and digest, for a signature."""
        return f"{self.name}-{self.digest[:8]}"

    def check(self, signature: str) -> None:
        """Raise ValueError unless scores of a signature can be compared with these."""
        if not same_scale(self.signature, signature):
            raise ValueError(
                f"the reference {self.name!r} holds scores of {self.signature}, these would be of "
                f"{signature}: make one for this model with `qualiclip reference --images FOLDER "
                "--out ref.json`, and name it by --reference ref.json"
            )

    def save(self, path: str | Path) -> None:
        """Write a JSON file; OSError if it cannot be written."""
        held = {"format": _FORMAT, **asdict(self), "digest": self.digest}
        write_text(path, json.dumps(held, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Reference":
        """Read a JSON file of `save`; ValueError if it is no such file, or was changed by hand."""
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            if held["format"] != _FORMAT:
                raise ValueError(f"expected the format {_FORMAT}, got {held['format']}")
            values = {one.name: held[one.name] for one in fields(cls)}
            found = cls(**{**values, "quantiles": tuple(values["quantiles"])})
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(
                f"{path}: expected a file that `qualiclip reference` wrote ({err})"
            ) from err
        if held.get("digest") != found.digest:
            raise ValueError(f"{path}: its digest does not fit: it was damaged or changed by hand")
        return found


@cache
def shipped() -> Reference:
    """The reference of `lite`."""
    return Reference.load(SHIPPED)


def reference_for(signature: object, path: str | Path | None = None) -> Reference | None:
    """Choose the reference for scores of a signature: a file's, or the shipped one if it fits.

    Raises ValueError if the file's reference is of another signature, or it is no such file;
    OSError if it cannot be read.
    """
    if path is not None:
        found = Reference.load(path)
        found.check(str(signature))
        return found
    return shipped() if same_scale(shipped().signature, str(signature)) else None
