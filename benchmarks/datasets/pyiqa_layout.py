"""pyiqa's layout of datasets: ``<root>/meta_info/*.csv`` beside one image folder per set.

The column order is that of pyiqa 0.1.16, ``GeneralNRDataset`` and ``GeneralFRDataset``.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.datasets.labels import read_csv
from benchmarks.datasets.spec import DatasetError, PyiqaLayout

_SPLITS = {
    **{"train": "training", "val": "validation", "test": "test"},
    **{
        "0": "training",
        "1": "validation",
        "2": "test",
    },  # FLIVE's file, as pyiqa's script writes it
}
_DEVIATIONS = ("std", "SD", "dmos_std")


def root_of(folder: Path) -> Path | None:
    """Find the folder that holds ``meta_info``: ``folder`` or its ``datasets``; else None."""
    for candidate in (folder, folder / "datasets"):
        if (candidate / "meta_info").is_dir():
            return candidate
    return None


def read(root: Path, layout: PyiqaLayout, *, name: str) -> pd.DataFrame:
    """Read the raw frame of one set; image names are relative to ``root``.

    The first columns are (image, MOS), or (reference, image, MOS) in full-reference sets. CLIVE's
    seven training images and FLIVE's patches, which pyiqa lists too, are left out.
    """
    path = root / "meta_info" / layout.meta
    if not path.is_file():
        raise DatasetError(f"{name}: labels missing: no {path.name} under {path.parent}")
    meta = read_csv(path, dtype={0: str})
    first = 1 if layout.full_reference else 0
    if meta.shape[1] < first + 2:
        raise DatasetError(f"{name}: {path} has {meta.shape[1]} column(s), expected {first + 2}")
    images = meta.iloc[:, first].astype(str)
    column = next((column for column in _DEVIATIONS if column in meta), None)
    std = meta[column].astype(float) if column else float("nan")
    split = next((c for c in ("official_split", "split") if c in meta), None)
    frame = pd.DataFrame(
        {
            "image": layout.images + "/" + images,
            "mos": meta.iloc[:, first + 1],
            "mos_std": np.sqrt(std) if layout.std_is_variance else std,
            "reference": meta.iloc[:, 0].astype(str) if first else "",
            "split": meta[split].astype(str).map(_SPLITS).fillna("") if split else "",
        }
    )
    unrated = images.str.contains(r"(?:^|/)t[1-7]\.bmp$") | images.str.contains("_patch_")
    return frame[~unrated]
