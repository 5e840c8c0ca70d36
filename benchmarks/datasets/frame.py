"""The checks that every data set's frame passes, and the columns that it gets."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from benchmarks.datasets.spec import COLUMNS, DatasetError

__all__ = ["complete", "locate", "present"]

_DEFAULTS: dict[str, float | str] = {
    "mos_std": math.nan,
    "reference": "",
    "distortion": "",
    "level": math.nan,
    "split": "",
}


def complete(
    raw: pd.DataFrame,
    root: Path,
    *,
    dmos: bool,
    name: str,
    labels: str = "the labels",
    allow_outside: bool = False,
) -> pd.DataFrame:
    """Check a reader's raw frame and give it every column of :data:`COLUMNS`.

    ``path`` is "" where there is no such image. `DatasetError` for no rows, an image name that is
    empty, doubled, names a folder or leads out of the set, or a MOS that is not finite.
    """
    frame = raw.reset_index(drop=True).copy()
    if frame.empty:
        raise DatasetError(f"{name}: the label file under {root} lists no images")
    where = f"{name}: {labels}"
    _check_names(frame["image"], root, where, allow_outside)
    frame["image"] = frame["image"].astype(str)
    _check_duplicates(frame["image"], name)
    frame["mos"] = pd.to_numeric(frame["mos"], errors="coerce").astype(float)
    bad = frame.loc[~frame["mos"].abs().lt(math.inf), "image"].tolist()
    if bad:
        raise DatasetError(
            f"{name}: {len(bad)} image(s) have no finite MOS in the labels ({_some(bad)}); "
            "remove the rows or mend the label file"
        )
    if dmos:
        frame["mos"] = -frame["mos"]
    for column, default in _DEFAULTS.items():
        if column not in frame:
            frame[column] = default
    for column in ("mos_std", "level"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    for column in ("reference", "distortion", "split"):
        frame[column] = frame[column].fillna("").astype(str)
    if "path" not in frame:
        frame["path"] = locate(root, frame["image"])
    return frame[list(COLUMNS)]


def _check_names(names: pd.Series, root: Path, where: str, allow_outside: bool) -> None:
    """Raise DatasetError at the first image name that cannot be one; rows count from 1."""
    for row, name in enumerate(names, start=1):
        text = "" if pd.isna(name) else str(name).strip()
        if not text:
            raise DatasetError(f"{where}, row {row}: the image name is empty; remove the row")
        if not allow_outside and _leads_outside(text):
            raise DatasetError(
                f"{where}, row {row}: {text} leads out of the set's folder {root}; use names "
                "relative to it, or pass --allow-outside"
            )
        if _is_folder(root / text, f"{where}, row {row}"):
            raise DatasetError(f"{where}, row {row}: {text} is a folder, expected an image file")


def _is_folder(path: Path, where: str) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as err:  # too long, or with a NUL
        raise DatasetError(f"{where}: {path.name[:40]!r} cannot be a file name: {err}") from err


def _leads_outside(name: str) -> bool:
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive != ""
    return absolute or ".." in PureWindowsPath(name).parts


def _check_duplicates(names: pd.Series, name: str) -> None:
    repeated = names[names.str.lower().duplicated()].tolist()
    if repeated:
        raise DatasetError(
            f"{name}: {len(repeated)} image name(s) appear more than once in the labels "
            f"({_some(repeated)}); each image must have one row"
        )


def locate(root: Path, names: Iterable[str]) -> list[str]:
    """Find the path of each image ("" for none); ignores letter case if the exact name is absent.

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
        found.append(str(match.resolve()) if match and match.is_file() else "")
    return found


def present(
    frame: pd.DataFrame,
    *,
    name: str,
    root: Path,
    allow_missing: bool,
    cure: str = "is this the official layout?",
) -> pd.DataFrame:
    """Keep the rows whose image exists, renumbered; refuse missing ones unless they are allowed."""
    here = frame[frame["path"] != ""].reset_index(drop=True)
    missing = frame.loc[frame["path"] == "", "image"].tolist()
    if here.empty:
        raise DatasetError(
            f"{name}: none of the {len(frame)} labelled images is under {root} "
            f"(looked for {_some(missing)}); {cure}"
        )
    if missing and not allow_missing:
        raise DatasetError(
            f"{name}: {len(missing)} of {len(frame)} labelled images are missing under {root} "
            f"({_some(missing)}); pass --allow-missing to run on the {len(here)} that are there, "
            "as a subset"
        )
    return here


def _some(names: Sequence[str]) -> str:
    """The first three of a list of names, for a message."""
    more = ", ..." if len(names) > 3 else ""
    return ", ".join(str(name) for name in names[:3]) + more
