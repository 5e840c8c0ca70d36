"""From ``--dataset`` text to a checked :class:`Dataset`: finds the folder, picks the reader.

Knows the command-line forms, the environment variable and the two layouts; knows no label format.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.datasets import pyiqa_layout, readers
from benchmarks.datasets.catalogue import SPECS
from benchmarks.datasets.spec import Dataset, DatasetError, DatasetSpec, complete, present

ROOT_VARIABLE = "QUALICLIP_DATASETS"


@dataclass(frozen=True)
class Request:
    """One ``--dataset`` option: ``[LABEL:]NAME[=PATH]``."""

    label: str
    spec: str
    path: Path | None


def parse(text: str) -> Request:
    """Read ``clive``, ``clive=FOLDER``, ``clive627:clive=FOLDER`` or ``csv=FILE``.

    Raises:
        DatasetError: Unknown dataset name, or ``csv`` without a file.
    """
    head, _, path = text.partition("=")
    label, colon, name = head.rpartition(":")
    if name != "csv" and name not in SPECS:
        raise DatasetError(
            f"unknown dataset {name!r}; expected csv=FILE or one of {', '.join(SPECS)}"
        )
    if name == "csv" and not path:
        raise DatasetError("csv needs a file with the columns image and mos: --dataset csv=FILE")
    if not colon:
        label = Path(path).stem if name == "csv" else name
    if not label or any(mark in label for mark in '/\\:*?"<>|') or label.startswith("."):
        raise DatasetError(f"dataset label {label!r} cannot be a folder name; use letters and -")
    return Request(label, name, Path(path) if path else None)


def load(request: Request, *, allow_missing: bool = False) -> Dataset:
    """Read the labels, check them, find the images.

    Args:
        request: What :func:`parse` gave.
        allow_missing: Accept a set some of whose images are absent; it is then a subset.

    Raises:
        DatasetError: Folder or labels absent, wrong layout, duplicate names, NaN MOS, images
            missing. Each with its cure.
    """
    if request.spec == "csv":
        assert request.path is not None
        return _load_csv(request.label, request.path, allow_missing)
    spec = SPECS[request.spec]
    folder = request.path or find_folder(spec)
    if folder is None:
        raise DatasetError(
            f"{spec.name}: no folder given and none found; use --dataset {spec.name}=FOLDER, or "
            f"set {ROOT_VARIABLE} to a folder that holds {spec.folders[0]}/. Get it at "
            f"{spec.source} ({spec.licence})"
        )
    if not folder.is_dir():
        raise DatasetError(f"{spec.name}: no folder {folder}. Get it at {spec.source}")
    frame, root = read_labels(spec, folder)
    here = present(frame, name=request.label, root=root, allow_missing=allow_missing)
    return Dataset(
        name=request.label,
        spec=spec.name,
        title=spec.title,
        frame=here,
        count=len(frame),
        count_official=spec.count,
        notes={
            "licence": spec.licence,
            "citation": spec.citation,
            "source": spec.source,
            "protocol": spec.protocol,
            "direction": "DMOS as published, turned" if spec.dmos else "MOS as published",
        },
    )


def read_labels(spec: DatasetSpec, folder: Path) -> tuple[pd.DataFrame, Path]:
    """All labelled images of a set, in the official or in pyiqa's layout, and their root."""
    pyiqa_root = pyiqa_layout.root_of(folder)
    if pyiqa_root is not None and not (folder / spec.labels).exists():
        if spec.pyiqa is None:
            raise DatasetError(f"{spec.name}: pyiqa has no such set; use its official layout")
        raw = pyiqa_layout.read(pyiqa_root, spec.pyiqa, name=spec.name)
        return complete(raw, pyiqa_root, dmos=spec.dmos, name=spec.name), pyiqa_root
    try:
        raw = spec.read(folder)
    except DatasetError as err:
        text = str(err)
        prefix = "" if text.startswith(spec.name) else f"{spec.name}: "
        raise DatasetError(f"{prefix}{text}. Get it at {spec.source}") from err
    return complete(raw, folder, dmos=spec.dmos, name=spec.name), folder


def find_folder(spec: DatasetSpec, root: Path | None = None) -> Path | None:
    """The set's folder under ``root`` (default: the environment's), None if there is none."""
    if root is None:
        value = os.environ.get(ROOT_VARIABLE, "")
        if not value:
            return None
        root = Path(value)
    for name in spec.folders:
        if (root / name).is_dir():
            return root / name
    base = pyiqa_layout.root_of(root)
    has = base is not None and spec.pyiqa and (base / "meta_info" / spec.pyiqa.meta).is_file()
    return root if has else None


def _load_csv(label: str, path: Path, allow_missing: bool) -> Dataset:
    raw = readers.csv(path)
    dmos = "mos" not in raw
    raw = raw.rename(columns={"dmos": "mos"}) if dmos else raw
    frame = complete(raw, path.parent, dmos=dmos, name=label)
    here = present(frame, name=label, root=path.parent, allow_missing=allow_missing)
    return Dataset(
        name=label,
        spec="csv",
        title=label,
        frame=here,
        count=len(frame),
        count_official=0,
        notes={
            "source": path.name,
            "direction": "DMOS as given, turned" if dmos else "MOS as given",
        },
    )
