"""A table of tensors in pieces on disk: a run that was cut off goes on at the first missing one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from qualiclip_metric.files import write_bytes, write_text


def claim_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """Note what a folder's table depends on, or refuse the folder if it holds another table.

    Args:
        folder: Of the table's pieces; made where it is missing.
        identity: What the rows depend on, as plain values.

    Raises:
        ValueError: When the folder holds a table of something else.
    """
    path = folder / "table.json"
    if not path.exists():
        write_text(path, json.dumps(identity, indent=1))
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if changed := sorted(k for k in identity if found.get(k) != identity[k]):
        raise ValueError(
            f"{folder} holds features made with other {changed}; delete it, or give another --out"
        )


class Pieces:
    """The pieces of one table, in a folder of their own.

    Args:
        folder: Made if it is not there.
        identity: What the rows depend on, as plain values.

    Raises:
        ValueError: When the folder holds a table of something else.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        claim_folder(folder, identity)
        self.folder = folder

    def missing(self) -> int:
        """Number of the first piece that is not there."""
        piece = 0
        while self._path(piece).exists():
            piece += 1
        return piece

    def save(self, piece: int, rows: Mapping[str, Tensor]) -> None:
        """Write a piece; it appears whole or not at all."""
        tensors = {name: tensor.contiguous() for name, tensor in rows.items()}
        write_bytes(self._path(piece), save(tensors))

    def load(self) -> dict[str, Tensor]:
        """The whole table: each column's rows, in order."""
        pieces = [load_file(path) for path in sorted(self.folder.glob("*.safetensors"))]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def _path(self, piece: int) -> Path:
        return self.folder / f"{piece:05d}.safetensors"
