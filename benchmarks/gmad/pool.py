"""The pool of images and scores that a competition needs, from tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.datasets.labels import read_csv
from benchmarks.gmad.scale import Labelled
from benchmarks.stats import FloatArray
from benchmarks.stats.significance import COVERAGE

__all__ = ["Pool", "pool_from_results", "read_wide"]


DESCRIPTIVE = (
    *("image", "path", "digest", "dataset", "split"),
    *("mos", "mos_std", "std", "reference", "distortion", "level"),
)
"""Columns of a wide table that describe an image; every other column is a metric."""


@dataclass(frozen=True)
class Pool:
    """Images, in the order of their names, and the metrics' scores of them."""

    images: list[str]
    metrics: list[str]  # ``m`` names
    scores: FloatArray  # ``(n, m)`` scores, higher is better
    mos: FloatArray  # ``(n,)`` MOS, NaN where unknown; empty where no image has one
    reference: list[str]  # ``n`` names of reference images, or none
    paths: list[str] = field(default_factory=list)  # ``n`` image files, or none
    dropped: int = 0  # number of images left out because a metric did not score them
    notes: list[str] = field(default_factory=list)  # remarks that a reader should see
    signatures: dict[str, str] = field(default_factory=dict)  # metric -> signature, where known

    @property
    def labelled(self) -> Labelled | None:
        """The images with a MOS; none where there is no label at all."""
        if not len(self.mos) or not (known := np.isfinite(self.mos)).any():
            return None
        return Labelled(self.scores[known], self.mos[known])


def read_wide(
    path: Path, metrics: Sequence[str] | None = None, lower_better: Sequence[str] = ()
) -> Pool:
    """Read a wide csv: ``image``, one column per metric and, where known, ``mos``, ``reference``.

    Keeps the images that every metric scored. Columns in ``lower_better`` are negated.
    """
    text = {"image": str, "reference": str}
    table = read_csv(path, ["image"], dtype=text, keep_default_na=False)
    names = list(metrics or (c for c in table.columns if c not in DESCRIPTIVE))
    numeric = [*names, "mos"] if "mos" in table else names
    _check_names(path, names, [c for c in table.columns if c not in DESCRIPTIVE])
    for name in numeric:
        table[name] = _numbers(path, name, table[name])
    return _pool(table, names, lower_better, source=str(path))


def pool_from_results(
    frame: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    *,
    source: str = "results",
) -> Pool:
    """Build a pool of the images that every metric scored, from a results folder's data frame.

    A metric that scored less than `COVERAGE` of the images is left out with a note: each image
    that it lacks would be lost to the others.
    """
    present = list(frame.attrs["metrics"])
    asked = list(metrics or present)
    _check_names(Path(source), asked, present)
    covered = frame[asked].notna().mean()
    names = [name for name in asked if covered[name] >= COVERAGE]
    if len(names) < 2:
        raise ValueError(
            f"{source}: expected scores of two metrics on at least {COVERAGE:.0%} of images, got "
            + ", ".join(f"{name} on {covered[name]:.0%}" for name in asked)
        )
    pool = _pool(frame, names, (), source=source)
    pool.notes.extend(
        f"{name} left out: it scored {covered[name]:.0%} of the images"
        for name in asked
        if name not in names
    )
    pool.signatures.update({n: s for n, s in frame.attrs["signatures"].items() if n in names})
    return pool


def _check_names(path: Path, names: list[str], present: list[str]) -> None:
    if missing := [name for name in names if name not in present]:
        raise ValueError(
            f"{path}: no metric column {', '.join(missing)}; there are {', '.join(present)}"
        )
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{path}: expected two or more different metrics, got {names}")


def _numbers(path: Path, name: str, column: pd.Series) -> pd.Series:
    text = column.astype(str).str.strip()
    numbers = pd.to_numeric(text.where(text != "", "nan"), errors="coerce").astype(float)
    bad = numbers.isna() & ~text.str.lower().isin(["", "nan", "na", "none", "null"])
    if bad.any():
        raise ValueError(
            f"{path}: column '{name}' holds {text[bad].iloc[0]!r}, which is no number; name the "
            "metric columns with --metric"
        )
    return numbers


def _pool(table: pd.DataFrame, names: list[str], lower_better: Sequence[str], source: str) -> Pool:
    if unknown := [name for name in lower_better if name not in names]:
        raise ValueError(f"--lower-better: no metric {', '.join(unknown)} among {names}")
    twice = table["image"][table["image"].duplicated()]
    if len(twice):
        raise ValueError(f"{source}: image {twice.iloc[0]!r} appears more than once")
    scored = np.isfinite(table[names].to_numpy(float)).all(axis=1)
    kept = table[scored].sort_values("image", kind="stable")
    sign = np.array([-1.0 if name in lower_better else 1.0 for name in names])
    pool = Pool(
        images=[str(name) for name in kept["image"]],
        metrics=names,
        scores=kept[names].to_numpy(float) * sign,
        mos=kept["mos"].to_numpy(float) if "mos" in kept else np.empty(0),
        reference=[str(r) for r in kept["reference"]] if "reference" in kept else [],
        paths=[str(p) for p in kept["path"]] if "path" in kept else [],
        dropped=int((~scored).sum()),
    )
    if len(kept) < 2:
        raise ValueError(f"{source}: expected two or more images scored by all of {names}")
    pool.notes.extend(_notes(pool))
    return pool


def _notes(pool: Pool) -> list[str]:
    """Remarks on images left out and on metrics that seem to point the wrong way."""
    notes = []
    if pool.dropped:
        notes.append(f"{pool.dropped} images left out: not scored by every metric")
    if (labelled := pool.labelled) is None or len(labelled.mos) < 5:
        return notes
    ranks = pd.DataFrame(labelled.scores, columns=pool.metrics).rank()
    with np.errstate(invalid="ignore"):  # scores that are all equal have no SRCC
        srcc = ranks.corrwith(pd.Series(labelled.mos).rank())
    for name in (name for name in pool.metrics if srcc[name] < -0.2):
        notes.append(
            f"{name} falls as MOS rises (SRCC {srcc[name]:.2f}): if lower is better, pass "
            f"--lower-better {name}"
        )
    return notes
