"""The row of an image: its columns, whoever writes it and wherever."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BASE = ("key", "score", "error", "width", "height")
"""Columns of every row; csv and jsonl call the first one `path`."""
DIAGNOSIS = ("fault", "probability")
"""Columns of a diagnosis: the likeliest fault and its probability."""
RESERVED = frozenset((*BASE, *DIAGNOSIS, "path", "faults", "pairs", "signature"))
"""Names that a column passed through cannot have."""


@dataclass(frozen=True)
class Row:
    """What came of one image.

    Args:
        key: Path, URL, or place within a table or shard: what tells the image from all others.
        score: In [0, 1], higher is better; None on failure.
        error: One line on what went wrong; None on success.
        width: Of the upright image, px; None where it is unknown.
        height: The same.
        pairs: Probability of the positive prompt of each antonym pair; empty unless asked for.
        faults: Fault -> probability, `none` first; empty unless a diagnosis was asked for.
        columns: Columns of the input that are passed through.
    """

    key: str
    score: float | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None
    pairs: Sequence[float] = ()
    faults: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """The likeliest of `faults`."""
        return max(self.faults, key=self.faults.__getitem__) if self.faults else None

    def as_dict(self, pair_columns: Sequence[str] = ()) -> dict[str, Any]:
        """The row by column.

        Args:
            pair_columns: Names for `pairs`, as `pair_columns` makes them.

        Returns:
            Column -> value, those of failures None; `fault` and `probability` for a diagnosis.
        """
        found = self.fault
        values = {name: getattr(self, name) for name in BASE}
        if found is not None:
            values.update(fault=found, probability=self.faults[found])
        if self.pairs:
            values.update(zip(pair_columns, self.pairs, strict=True))
        return {**values, **self.columns}


@dataclass(frozen=True)
class Layout:
    """What rows hold besides the columns of `BASE`.

    Args:
        signature: What the scores depend on.
        pairs: Names of the columns of the antonym pairs' probabilities; empty where there are none.
        diagnosed: Whether there are the columns `fault` and `probability`.
        columns: Columns that are passed through, with their pyarrow types; None for text.

    Raises:
        ValueError: When a column that is passed through has a name that the rows use.
    """

    signature: str
    pairs: tuple[str, ...] = ()
    diagnosed: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if taken := sorted(set(self.columns) & {*RESERVED, *self.pairs}):
            raise ValueError(
                f"the table's columns {', '.join(taken)} have names that the rows of scores use: "
                "rename them"
            )


def pair_columns(pairs: Sequence[tuple[str, str]], count: int) -> tuple[str, ...]:
    """Names of the columns of the antonym pairs' probabilities.

    Args:
        pairs: Texts of the prompts, positive first; empty where they are unknown.
        count: How many pairs there are.

    Returns:
        `pair_` and the words of the positive prompt, or `pair_1` and so on where these do not tell
        the pairs apart.

    Example:
        >>> pair_columns([("Good photo.", "Bad photo."), ("Sharp image.", "Blurry image.")], 2)
        ('pair_good_photo', 'pair_sharp_image')
    """
    words = [re.sub(r"\W+", "_", positive.lower()).strip("_") for positive, _ in pairs]
    if len(set(words)) != count or "" in words:
        words = [str(number) for number in range(1, count + 1)]
    return tuple(f"pair_{word}" for word in words)
