"""From ``--dataset`` text to a checked :class:`Dataset`: find the folder, choose the reader."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.datasets import pyiqa_layout, readers
from benchmarks.datasets.catalogue import SPECS
from benchmarks.datasets.frame import complete, present
from benchmarks.datasets.spec import Dataset, DatasetError, DatasetSpec

ROOT_VARIABLE = "QUALICLIP_DATASETS"


@dataclass(frozen=True)
class Request:
    """One ``--dataset`` option: ``[LABEL:]NAME[=PATH]``."""

    label: str
    spec: str
    path: Path | None


def parse(text: str) -> Request:
    """Read ``clive``, ``clive=FOLDER``, ``clive627:clive=FOLDER`` or ``csv=FILE``."""
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


def load(request: Request, *, allow_missing: bool = False, allow_outside: bool = False) -> Dataset:
    """Read the labels, check them, find the images; every `DatasetError` names its cure.

    ``allow_missing`` accepts a set some of whose images are absent; it is then a subset.
    """
    if request.spec == "csv":
        assert request.path is not None
        return _load_csv(request.label, request.path, allow_missing, allow_outside)
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
    frame, root, remark = read_labels(spec, folder, allow_outside=allow_outside)
    here = present(
        frame,
        name=request.label,
        root=root,
        allow_missing=allow_missing,
        cure=spec.derive or "is this the official layout?",
    )
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
            **({"remark": remark} if remark else {}),
        },
    )


class Labels(NamedTuple):
    """All labelled images of a set."""

    frame: pd.DataFrame  # one row per label; ``path`` is "" where the image is absent
    root: Path  # folder that the image names are relative to
    remark: str  # A difference to the release's labels; "" where there is none


def read_labels(spec: DatasetSpec, folder: Path, *, allow_outside: bool = False) -> Labels:
    """Read all labelled images of a set, in the official or in pyiqa's layout."""
    checks: dict[str, Any] = {"dmos": spec.dmos, "name": spec.name, "allow_outside": allow_outside}
    pyiqa_root = pyiqa_layout.root_of(folder)
    if pyiqa_root is not None and not (folder / spec.labels).exists():
        if spec.pyiqa is None:
            raise DatasetError(f"{spec.name}: pyiqa has no such set; use its official layout")
        raw = pyiqa_layout.read(pyiqa_root, spec.pyiqa, name=spec.name)
        frame = complete(raw, pyiqa_root, labels=spec.pyiqa.meta, **checks)
        return Labels(frame, pyiqa_root, spec.pyiqa.remark)
    try:
        raw = spec.read(folder)
    except DatasetError as err:
        text = str(err)
        prefix = "" if text.startswith(spec.name) else f"{spec.name}: "
        raise DatasetError(f"{prefix}{text}. Get it at {spec.source}") from err
    return Labels(complete(raw, folder, labels=spec.labels, **checks), folder, "")


def find_folder(spec: DatasetSpec, root: Path | None = None) -> Path | None:
    """Find a set's folder, in either layout, under ``root`` or the environment's folder."""
    if root is None:
        value = os.environ.get(ROOT_VARIABLE, "")
        if not value:
            return None
        root = Path(value)
    folders = [root / name for name in spec.folders if (root / name).is_dir()]
    for folder in folders:
        if (folder / spec.labels).exists():
            return folder
    # pyiqa's images may lie in a folder of the same name, with the labels in meta_info beside it
    base = pyiqa_layout.root_of(root)
    if base is not None and spec.pyiqa and (base / "meta_info" / spec.pyiqa.meta).is_file():
        return root
    return folders[0] if folders else None


def _load_csv(label: str, path: Path, allow_missing: bool, allow_outside: bool) -> Dataset:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected a csv with the columns image and mos")
    raw = readers.csv(path)
    dmos = "mos" not in raw
    raw = raw.rename(columns={"dmos": "mos"}) if dmos else raw
    frame = complete(
        raw, path.parent, dmos=dmos, name=label, labels=path.name, allow_outside=allow_outside
    )
    here = present(
        frame,
        name=label,
        root=path.parent,
        allow_missing=allow_missing,
        cure="names in a csv are relative to its own folder",
    )
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
