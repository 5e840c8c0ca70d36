"""`Row`, the outcome of one image, and `COLUMNS`, the one list of its written columns.

To add a column, add a field to `Row`, fill it in `pipeline.py`, and add a line to `COLUMNS`. The
header of csv, the schema of Parquet, the objects of json and the reserved names follow from it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from qualiclip_metric.scoring.options import DIGITS, PERCENTILE_DIGITS, ScoreOptions
from qualiclip_metric.signature import from_string, same, to_string
from qualiclip_metric.statistic_names import STATISTICS


@dataclass(frozen=True)
class Row:
    """The outcome of one image.

    Args:
        key: Path, URL, or place within a table or shard; it identifies the image.
        score: In [0, 1], higher is better; None on failure.
        error: The reason for a failure, one line; None on success.
        width: Of the upright image, px; None if unknown.
        height: The same.
        pairs: Column name -> probability of the positive prompt of an antonym pair; empty unless
            asked for.
        faults: Fault -> probability, `none` first; empty unless a diagnosis was asked for.
        columns: Columns of the input that are copied to the results.
        checks: Pixel statistic -> number, at the image's own size; empty unless asked for.
        percentile: Percent of the reference's photos that score lower; None without a reference.
        keep: Whether the score reaches the bar; None without a bar.
        measured: Result of `score_items(measure=...)`; it is not written.
    """

    key: str
    score: float | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None
    pairs: Mapping[str, float] = field(default_factory=dict)
    faults: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, float] = field(default_factory=dict)
    percentile: float | None = None
    keep: bool | None = None
    measured: Any = None

    @property
    def path(self) -> Path:
        """The key as a path."""
        return Path(self.key)

    @property
    def fault(self) -> str | None:
        """The likeliest fault; None without a diagnosis."""
        return max(self.faults, key=self.faults.__getitem__) if self.faults else None

    @property
    def probability(self) -> float | None:
        """Probability of `fault`."""
        return self.faults[self.fault] if self.fault else None


class Column(NamedTuple):
    """A column of the results."""

    name: str  # in csv and json; Parquet calls `path` `key`
    # str, int, float or bool; dict for an object, which only json writes; of a column that is
    # copied from a table its pyarrow type, or None for text
    type: Any
    value: Callable[[Row], Any]
    option: str = ""  # field of `ScoreOptions` that asks for it; empty: always written
    in_json: bool = True  # json writes faults and pairs as objects, and a table's columns as read
    digits: int = DIGITS  # decimals in csv and json


def _value_of(field_name: str, name: str) -> Callable[[Row], Any]:
    """Getter of a value in one of the row's mappings."""
    return lambda row: getattr(row, field_name).get(name)


COLUMNS = (
    Column("path", str, attrgetter("key")),
    Column("score", float, attrgetter("score")),
    Column("error", str, attrgetter("error")),
    Column("width", int, attrgetter("width")),
    Column("height", int, attrgetter("height")),
    Column("percentile", float, attrgetter("percentile"), "reference", digits=PERCENTILE_DIGITS),
    Column("keep", bool, attrgetter("keep"), "bar"),
    *(Column(name, float, _value_of("checks", name), "checks") for name in STATISTICS),
    Column("fault", str, attrgetter("fault"), "diagnose"),
    Column("probability", float, attrgetter("probability"), "diagnose", in_json=False),
    Column("faults", dict, attrgetter("faults"), "diagnose"),
    Column("pairs", dict, attrgetter("pairs"), "pairs"),  # csv, Parquet: a column for each pair
)
RESERVED = frozenset(
    {"key", "signature", *(column.name for column in COLUMNS if column.option != "checks")}
)
"""Names that a column of a table cannot have. Those of checks are reserved only where checks are
written, because tables often have a column such as `noise`."""


class OtherRowsError(ValueError):
    """Rows of another signature or other columns are there; the message names both."""


@dataclass(frozen=True)
class Layout:
    """The columns of a file of results, in their order, and the signature of its rows."""

    signature: str
    columns: tuple[Column, ...]
    keeps: Callable[[float], bool | None] = lambda _score: None  # as `ScoreOptions.keeps`

    @property
    def flat(self) -> tuple[Column, ...]:
        """Columns of csv and Parquet."""
        return tuple(column for column in self.columns if column.type is not dict)

    def check_same(self, where: object, signature: str, names: Sequence[str] | None = None) -> None:
        """Raise OtherRowsError unless the rows of a file have this signature and these columns.

        `names` are those of its columns; None if the format has none.
        """
        cure = "--overwrite starts afresh, another --out keeps both"
        if signature != self.signature and not same(signature, self.signature):
            raise OtherRowsError(
                f"{where} holds rows of {signature}, these would be of {self.signature}; {cure}"
            )
        own = [column.name for column in self.flat]
        if names is not None and list(names) != own:
            raise OtherRowsError(
                f"{where} holds rows with the columns {', '.join(names)}, these would have "
                f"{', '.join(own)}; {cure}"
            )


def layout_for(
    signature: str,
    options: ScoreOptions | None = None,
    pairs: Sequence[str] = (),
    passed: Mapping[str, Any] | None = None,
) -> Layout:
    """Choose the columns that a run writes.

    The metric's signature is completed by the way of reading colours, the reference and the bar.
    `pairs` are names of `pair_columns`; `passed` are columns copied from a table, with their
    pyarrow types, None for text. Raises ValueError if one of these has a name of ours, or the
    reference is of another signature.
    """
    options, passed = options or ScoreOptions(), passed or {}
    asked = [one for one in COLUMNS if not one.option or getattr(options, one.option)]
    if options.pairs:
        asked += [Column(name, float, _value_of("pairs", name), in_json=False) for name in pairs]
    if taken := sorted(set(passed) & (RESERVED | {one.name for one in asked})):
        raise ValueError(
            f"the table's columns {', '.join(taken)} have names that the rows of scores use: "
            "rename them"
        )
    asked += [
        Column(name, kind, _value_of("columns", name), in_json=False)
        for name, kind in passed.items()
    ]
    parts = from_string(signature)
    if "colour" in parts:  # not of a metric that states no signature of ours
        signature = to_string({**parts, "colour": options.colour})
    if options.reference is not None:
        options.reference.check(signature)
        signature = to_string({**from_string(signature), "reference": options.reference.label})
    if options.bar:
        signature = to_string({**from_string(signature), "keep": options.bar})
    return Layout(signature, tuple(asked), options.keeps)


def pair_columns(pairs: Sequence[tuple[str, str]], count: int) -> tuple[str, ...]:
    """Name the columns of the probabilities of `count` antonym pairs, whose texts may be unknown.

    `pair_good_photo` for ("Good photo.", "Bad photo."); `pair_1` and so on if the words are not
    distinct.
    """
    words = [re.sub(r"\W+", "_", positive.lower()).strip("_") for positive, _ in pairs]
    if len(set(words)) != count or "" in words:
        words = [str(number) for number in range(1, count + 1)]
    return tuple(f"pair_{word}" for word in words)
