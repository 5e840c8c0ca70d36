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
    """Where pyiqa keeps the same set, and where its label file differs from the release."""

    meta: str  # label file in ``<root>/meta_info``
    images: str  # folder of the images under ``<root>``
    full_reference: bool = False  # the file's first column is the reference image
    std_is_variance: bool = False  # the file's ``std`` is the variance of the release
    remark: str = ""  # A difference of the labels that readers of a figure have to know


@dataclass(frozen=True)
class DatasetSpec:
    """One row of the table of datasets."""

    name: str  # the name on the command line
    title: str
    count: int  # rated images in the official release
    # label files of the official layout -> raw frame (``image`` relative to the root, ``mos`` as
    # published, further columns where the release has them)
    read: Callable[[Path], pd.DataFrame]
    folders: tuple[str, ...]  # folder names under the datasets root that hold the official layout
    labels: str  # label file, relative to the set's folder, for messages
    source: str  # where to get the data. Nothing is ever downloaded
    licence: str  # the terms in a few words
    citation: str  # paper to cite
    layout: str  # where the facts of the layout were checked
    protocol: str  # how the field uses the set
    # the customary short side for scoring, if it is not the native size
    short_side: int | None = None
    # the published score is a difference score (lower is better) and gets turned
    dmos: bool = False
    derive: str = ""  # how to make the images where only another size of them is there
    pyiqa: PyiqaLayout | None = None  # the same set in pyiqa's layout, if pyiqa has it


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to be scored."""

    name: str
    spec: str  # the spec's name, or ``csv``
    title: str
    frame: pd.DataFrame  # one row per image that exists; the columns are :data:`COLUMNS`
    count: int  # rated images according to the label file
    count_official: int  # rated images in the official release (0 when unknown)
    notes: dict[str, str]  # licence, citation, source, protocol and direction, for the records

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
