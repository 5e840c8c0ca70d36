"""`python -m benchmarks datasets`: what is present, complete, partial, absent or broken."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.datasets import DatasetError, Status, inventory, parse
from benchmarks.datasets.load import ROOT_VARIABLE
from benchmarks.formatting import markdown


def datasets(
    root: Annotated[
        Path | None, typer.Option(help=f"Folder of datasets; default: ${ROOT_VARIABLE}.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER for a set elsewhere. May be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List every dataset with its state and counts. Nothing is downloaded."""
    if root is None and os.environ.get(ROOT_VARIABLE):
        root = Path(os.environ[ROOT_VARIABLE])
    if root is not None and not root.is_dir():
        raise ValueError(f"no folder {root}")
    folders: dict[str, Path] = {}
    for request in map(parse, dataset or []):
        if request.path is None or request.spec == "csv":
            raise DatasetError("expected --dataset NAME=FOLDER with the name of a dataset")
        folders[request.spec] = request.path
    found = inventory(root, folders)
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in found], indent=2))
    else:
        typer.echo(_table(found), nl=False)


def _table(found: list[Status]) -> str:
    header = ["dataset", "state", "where, or where to get it", "found", "labelled", "official",
              "unlabelled files"]  # fmt: skip
    rows = []
    for status in found:
        where = "; ".join(part for part in (status.folder, status.detail) if part)
        counts = ["", "", str(status.official), ""]
        if status.state not in ("absent", "broken"):
            numbers = (status.found, status.labelled, status.official, status.unlabelled)
            counts = [str(number) for number in numbers]
        rows.append([status.name, status.state, where, *counts])
    return markdown(header, rows, 3)
