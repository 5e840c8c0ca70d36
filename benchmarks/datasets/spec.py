"""A data set: its spec (a row of the catalogue) and its frame (one row per image)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

COLUMNS = ("image", "path", "mos", "mos_std", "reference", "distortion", "level", "split")
"""Columns of every frame. ``image`` is relative to the set and unique; ``mos`` is higher-better."""


class DatasetError(ValueError):
    """A data set that cannot be used as it is on the disk; the text says why and what to do."""


@dataclass(frozen=True)
class PyiqaLayout:
    """Where pyiqa keeps the same set, and where its label file differs from the release.

    Attributes:
        meta: Label file in ``<root>/meta_info``.
        images: Folder of the images under ``<root>``.
        full_reference: The file's first column is the reference image.
        std_is_variance: The file's ``std`` is the variance of the release.
        remark: A difference of the labels that readers of a figure have to know.
    """

    meta: str
    images: str
    full_reference: bool = False
    std_is_variance: bool = False
    remark: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """One row of the table of datasets.

    Attributes:
        name: The name on the command line.
        title: The name in print.
        count: Rated images in the official release.
        read: Label files of the official layout -> raw frame (``image`` relative to the root,
            ``mos`` as published, further columns where the release has them).
        folders: Folder names under the datasets root that hold the official layout.
        labels: Label file, relative to the set's folder, for messages.
        source: Where to get the data. Nothing is ever downloaded.
        licence: The terms in a few words.
        citation: Paper to cite.
        layout: Where the facts of the layout were checked.
        protocol: How the field uses the set.
        short_side: The customary short side for scoring, if it is not the native size.
        dmos: The published score is a difference score (lower is better) and gets turned.
        derive: How to make the images where only another size of them is there.
        pyiqa: The same set in pyiqa's layout, if pyiqa has it.
    """

    name: str
    title: str
    count: int
    read: Callable[[Path], pd.DataFrame]
    folders: tuple[str, ...]
    labels: str
    source: str
    licence: str
    citation: str
    layout: str
    protocol: str
    short_side: int | None = None
    dmos: bool = False
    derive: str = ""
    pyiqa: PyiqaLayout | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to be scored.

    Attributes:
        name: Its name in tables.
        spec: The spec's name, or ``csv``.
        title: The name in print.
        frame: One row per image that exists; the columns are :data:`COLUMNS`.
        count: Rated images according to the label file.
        count_official: Rated images in the official release (0 when unknown).
        notes: Licence, citation, source, protocol and direction, for the records.
    """

    name: str
    spec: str
    title: str
    frame: pd.DataFrame
    count: int
    count_official: int
    notes: dict[str, str]

    @property
    def subset(self) -> bool:
        """Whether some rated images are absent: every table has to say so."""
        return len(self.frame) < max(self.count, self.count_official)

    @property
    def label(self) -> str:
        """The name for tables, with the count when this is a subset."""
        if not self.subset:
            return self.name
        return f"{self.name} (subset, {len(self.frame)} of {max(self.count, self.count_official)})"
