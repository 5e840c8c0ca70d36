"""Settings of a run: metric, scoring, output. No torch and no Pillow, so that `--help` is quick."""

import os
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from qualiclip_metric.limits import MAX_PIXELS

if TYPE_CHECKING:
    from qualiclip_metric.decoding import RGB, Colour
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.reference import Reference
    from qualiclip_metric.signature import Signature

DIGITS = 6
"""Decimals of a score in text; further ones differ between machines in fp32."""
PERCENTILE_DIGITS = 1


@dataclass(frozen=True)
class ScoreOptions:
    """How images are scored.

    Args:
        batch_size: Most images in a batch. Only images of one size share a batch, and at most
            `batches.batch_pixels` together.
        workers: Decoding threads; by default as many as cores, at most 8.
        background: RGB in 0..255 under transparent pixels.
        max_pixels: A file whose header promises more is an error, and is not decoded.
        allow_truncated: Whether a file that ends too early is scored, grey where data is missing.
        colour: `srgb` converts colours by the file's profile as viewers do, `raw` keeps its
            numbers; see `images.read`.
        timeout: Seconds that reading and decoding one file may take; a file that takes longer is an
            error. Decoding is then done in other processes, and pixels are sent back from them.
        diagnose: Whether `Row.faults` is filled; the metric is a `QualiCLIP` with a diagnosis.
        pairs: Whether `Row.pairs` is filled; the metric is a `QualiCLIP`.
        checks: Whether `Row.checks` is filled, from all pixels of the image: a JPEG that is decoded
            at a reduced size to be scored is then decoded once more, whole.
        reference: Fills `Row.percentile`; must be made with the metric's model and settings.
        min_score: Fills `Row.keep`: an image that scores lower is not kept.
        min_percentile: The same for its percentile; both must hold where both are given.

    Raises:
        ValueError: If batch_size, workers or max_pixels is below 1, timeout is not above 0, or
            there is a min_percentile and no reference.
    """

    batch_size: int = 16
    workers: int | None = None
    background: "RGB" = (255, 255, 255)
    max_pixels: int = MAX_PIXELS
    allow_truncated: bool = False
    colour: "Colour" = "srgb"
    timeout: float | None = None
    diagnose: bool = False
    pairs: bool = False
    checks: bool = False
    reference: "Reference | None" = None
    min_score: float | None = None
    min_percentile: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.threads < 1:
            raise ValueError(
                f"expected batch_size and workers of at least 1, got {self.batch_size} and "
                f"{self.workers}"
            )
        if self.max_pixels < 1 or (self.timeout is not None and not self.timeout > 0):
            raise ValueError(
                f"expected max_pixels of at least 1 and a timeout above 0, got {self.max_pixels}, "
                f"{self.timeout}"
            )
        if self.min_percentile is not None and self.reference is None:
            raise ValueError("min_percentile: expected a reference, got none")

    @property
    def bar(self) -> str:
        """Bar of a kept image, such as `score>=0.3,percentile>=20`; empty if all are kept."""
        bars = {"score": self.min_score, "percentile": self.min_percentile}
        return ",".join(f"{name}>={bar:g}" for name, bar in bars.items() if bar is not None)

    def keeps(self, score: float) -> bool | None:
        """Whether a score reaches the bar; None without one.

        The score is rounded as in csv, so that a resumed run decides alike.
        """
        bars = (
            (round(score, DIGITS), self.min_score),
            (self.percentile(score), self.min_percentile),
        )
        reached = [value >= bar for value, bar in bars if value is not None and bar is not None]
        return all(reached) if reached else None

    def percentile(self, score: float) -> float | None:
        """Percentile of a score among the reference's photos; None without a reference."""
        if self.reference is None:
            return None
        return self.reference.percentile(round(score, DIGITS))

    @property
    def threads(self) -> int:
        """Decoding threads."""
        return min(8, os.cpu_count() or 1) if self.workers is None else self.workers


@dataclass(frozen=True)
class MetricOptions:
    """Arguments of `create`; they can be sent to other processes and machines."""

    model: str = "lite"
    precision: str = "fp32"
    engine: str = "torch"
    prompts: tuple[tuple[str, str], ...] | None = None
    size: int | str | None = None

    def create(self, device: str) -> "QualiCLIP":
        """Make the metric on a device."""
        from qualiclip_metric.build import create

        return create(device=device, **vars(self))

    def with_auto_resolved(self, signature: "Signature") -> "MetricOptions":
        """Replace `auto` by the choice in a signature, so that every process makes one metric."""
        return replace(self, precision=signature.precision, engine=signature.engine)


# --- output ----------------------------------------------------------------------------------


class Format(str, Enum):
    """Formats of results, by their names on the command line."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"


SUFFIXES = {
    ".csv": Format.csv,
    ".json": Format.json,
    ".jsonl": Format.jsonl,
    ".parquet": Format.parquet,
    ".txt": Format.table,
}


@dataclass(frozen=True)
class OutputOptions:
    """Where and how rows are written; ValueError if two options contradict each other."""

    out: str | None = None  # file, FOLDER/ or URL of Parquet parts; None: stdout
    format: Format = Format.table  # as `choose_format` chooses it
    raw: bool = False  # csv: fields that look like formulas stay as they are
    bom: bool = False  # csv: the file begins with a byte order mark, which Excel needs
    sort: bool = False  # best first, failures last
    overwrite: bool = False  # start afresh
    retry_errors: bool = False  # score again the images whose rows have no score

    def __post_init__(self) -> None:
        for option in ("raw", "bom"):
            if getattr(self, option) and self.format is not Format.csv:
                raise ValueError(f"--{option}: expected the format csv, got {self.format.value}")
        if self.sort and self.to_parts:
            raise ValueError(
                "--sort: expected one file, such as scores.parquet, for Parquet parts are written "
                f"as rows come; got --out {self.out}"
            )
        if self.retry_errors and self.overwrite:
            raise ValueError(
                "--retry-errors: expected to go on with a run, got --overwrite as well"
            )
        if self.retry_errors and not self.can_resume:
            raise ValueError(
                "--retry-errors: expected rows that can be resumed, --out scores.csv, scores.jsonl "
                f"or FOLDER/; got {self.out or 'standard output'}"
            )

    @property
    def can_resume(self) -> bool:
        """Whether rows are written as they come, and read back."""
        lines = self.format in (Format.csv, Format.jsonl)
        return self.out is not None and (lines or self.to_parts)

    @property
    def to_parts(self) -> bool:
        """Whether rows are written as Parquet parts."""
        return self.out is not None and _is_folder(self.out)

    @property
    def states_signature(self) -> bool:
        """Whether the results in a file state their signature."""
        return self.out is not None and self.format is not Format.table


def _is_folder(out: str) -> bool:
    return out.endswith("/") or "://" in out


def choose_format(out: str | None, given: Format | None) -> Format:
    """Choose the format that the user names, or that of the file's name; else the table.

    Raises ValueError if the two contradict each other, or no format has the name's suffix.
    """
    if out is None:
        if given is Format.parquet:
            raise ValueError("--format parquet: expected --out scores.parquet, or --out FOLDER/")
        return given or Format.table
    suffix = Path(out).suffix
    by_name = Format.parquet if _is_folder(out) else SUFFIXES.get(suffix.lower())
    if given is None and by_name is None and suffix:
        raise ValueError(
            f"--out {out}: expected a name that ends in {', '.join(SUFFIXES)}, a folder for Parquet"
            f" parts ({out.removesuffix(suffix)}/), or --format for another name; got {suffix} "
            "(Excel opens scores.csv with --bom)"
        )
    if given is not None and by_name not in (None, given):
        raise ValueError(
            f"--format {given.value} contradicts --out {out}: drop --format for {by_name.value}, "
            "or choose another name"
        )
    return given or by_name or Format.table
