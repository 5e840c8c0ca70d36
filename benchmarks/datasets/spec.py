"""What a dataset is to the harness: its spec, its frame, and the checks that every frame passes.

Knows columns, directions and error texts; knows nothing of any particular dataset's files.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

COLUMNS = ("image", "path", "mos", "mos_std", "reference", "distortion", "level", "split")
"""Columns of every frame. ``image`` is relative to the set and unique; ``mos`` is higher-better."""

_EMPTY: dict[str, float | str] = {
    "mos_std": float("nan"),
    "reference": "",
    "distortion": "",
    "level": float("nan"),
    "split": "",
}


class DatasetError(ValueError):
    """A dataset that cannot be used as it lies on the disk; the text says why and what to do."""


@dataclass(frozen=True)
class PyiqaLayout:
    """Where pyiqa keeps the same set: ``<root>/<images>`` and ``<root>/meta_info/<meta>``."""

    meta: str
    images: str
    full_reference: bool = False


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
    pyiqa: PyiqaLayout | None = None


@dataclass(frozen=True)
class Dataset:
    """A set that is ready to be scored.

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
        """Some rated images are not here: every table has to say so."""
        return len(self.frame) < max(self.count, self.count_official)

    @property
    def label(self) -> str:
        """The name for tables, with the count when this is a subset."""
        if not self.subset:
            return self.name
        return f"{self.name} (subset, {len(self.frame)} of {max(self.count, self.count_official)})"


def complete(raw: pd.DataFrame, root: Path, *, dmos: bool, name: str) -> pd.DataFrame:
    """Check a reader's raw frame and give it every column of :data:`COLUMNS`.

    Args:
        raw: Columns ``image``, ``mos`` and any others of :data:`COLUMNS`.
        root: Folder that the image names are relative to.
        dmos: Turn the score, so that higher is better.
        name: Dataset's name for messages.

    Raises:
        DatasetError: No rows, duplicate names, or a MOS that is not a finite number.
    """
    frame = raw.reset_index(drop=True).copy()
    if frame.empty:
        raise DatasetError(f"{name}: the label file under {root} lists no images")
    frame["image"] = frame["image"].astype(str)
    repeated = frame.loc[frame["image"].str.lower().duplicated(), "image"].tolist()
    if repeated:
        raise DatasetError(
            f"{name}: {len(repeated)} image name(s) appear more than once in the labels "
            f"({_some(repeated)}); each image must have one row"
        )
    frame["mos"] = pd.to_numeric(frame["mos"], errors="coerce").astype(float)
    bad = frame.loc[~frame["mos"].abs().lt(float("inf")), "image"].tolist()
    if bad:
        raise DatasetError(
            f"{name}: {len(bad)} image(s) have no finite MOS in the labels ({_some(bad)}); "
            "remove the rows or mend the label file"
        )
    if dmos:
        frame["mos"] = -frame["mos"]
    for column, default in _EMPTY.items():
        if column not in frame:
            frame[column] = default
    for column in ("mos_std", "level"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    for column in ("reference", "distortion", "split"):
        frame[column] = frame[column].fillna("").astype(str)
    if "path" not in frame:
        frame["path"] = locate(root, frame["image"])
    return frame[list(COLUMNS)]


def locate(root: Path, names: Iterable[str]) -> list[str]:
    """Path of each image, "" where there is none; letter case is ignored if need be.

    Releases made on Windows mix ``I01_01_1.bmp`` and ``i01_01_1.BMP``.
    """
    found: list[str] = []
    folded: dict[Path, dict[str, Path]] = {}
    for name in names:
        path = root / name
        if path.is_file():
            found.append(str(path.resolve()))
            continue
        folder = path.parent
        if folder not in folded:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            folded[folder] = {file.name.lower(): file for file in files}
        match = folded[folder].get(path.name.lower())
        found.append(str(match.resolve()) if match else "")
    return found


def present(frame: pd.DataFrame, *, name: str, root: Path, allow_missing: bool) -> pd.DataFrame:
    """Rows whose image exists.

    Raises:
        DatasetError: Images are missing and ``allow_missing`` is not set, or none exist.
    """
    here = frame[frame["path"] != ""].reset_index(drop=True)
    missing = frame.loc[frame["path"] == "", "image"].tolist()
    if here.empty:
        raise DatasetError(
            f"{name}: none of the {len(frame)} labelled images is under {root} "
            f"(looked for {_some(missing)}); is this the official layout?"
        )
    if missing and not allow_missing:
        raise DatasetError(
            f"{name}: {len(missing)} of {len(frame)} labelled images are missing under {root} "
            f"({_some(missing)}); pass --allow-missing to run on the {len(here)} that are there, "
            "as a subset"
        )
    return here


def _some(names: list[str], limit: int = 3) -> str:
    """The first few of a list of names, for a message."""
    more = ", ..." if len(names) > limit else ""
    return ", ".join(str(name) for name in names[:limit]) + more
