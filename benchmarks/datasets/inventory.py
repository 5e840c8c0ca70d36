"""Inventory of the data sets on the disk: complete, partial, absent or broken, with counts."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.datasets.catalogue import SPECS
from benchmarks.datasets.load import find_folder, read_labels
from benchmarks.datasets.spec import DatasetError, DatasetSpec

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Status:
    """Status of one data set."""

    name: str
    state: str  # ``complete``, ``partial``, ``absent`` or ``broken``
    labelled: int  # images in the label file
    found: int  # labelled images that exist
    unlabelled: int  # image files beside them that no label names
    official: int  # images in the official release
    folder: str
    detail: str  # the reason for ``broken``, a note for ``partial``, the source for ``absent``


def inventory(root: Path | None, folders: dict[str, Path] | None = None) -> list[Status]:
    """Determine the status of every data set, in the catalogue's order."""
    given = folders or {}
    return [
        status(spec, given.get(spec.name) or (find_folder(spec, root) if root else None))
        for spec in SPECS.values()
    ]


def status(spec: DatasetSpec, folder: Path | None) -> Status:
    """Determine the status of one data set, with counts and the reason where it is not complete."""
    if folder is None or not folder.is_dir():
        return Status(
            spec.name, "absent", 0, 0, 0, spec.count, "", f"{spec.source} ({spec.licence})"
        )
    try:
        labels = read_labels(spec, folder)
    except DatasetError as err:
        return Status(spec.name, "broken", 0, 0, 0, spec.count, str(folder), str(err))
    frame = labels.frame
    found = int((frame["path"] != "").sum())
    unlabelled = _unlabelled(frame)
    detail = labels.remark
    if found < len(frame):
        missing = frame.loc[frame["path"] == "", "image"].head(3)
        detail = f"{len(frame) - found} missing, e.g. {', '.join(missing)}"
    elif len(frame) < spec.count:
        detail = f"the labels list {len(frame)} of the release's {spec.count} images"
    state = "complete" if found >= max(len(frame), spec.count) else "partial"
    if found == 0 and spec.derive:  # the labels may be there for another size of the images
        state, detail = "absent", f"no image of this size: {spec.derive}"
    elif found == 0:
        state, detail = "broken", f"labels without images: {detail}"
    return Status(spec.name, state, len(frame), found, unlabelled, spec.count, str(folder), detail)


def _unlabelled(frame: pd.DataFrame) -> int:
    """Image files in the folders of labelled images that no row names."""
    named = {path for path in frame["path"] if path}
    folders = {Path(path).parent for path in named}
    files = {
        str(file)
        for folder in folders
        for file in folder.iterdir()
        if file.suffix.lower() in _SUFFIXES
    }
    return len(files - named)
