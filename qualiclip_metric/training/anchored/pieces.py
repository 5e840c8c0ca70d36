"""A table of tensors in pieces on disk: an interrupted run computes only the missing pieces."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from qualiclip_metric.files import write_bytes, write_text


class Pieces:
    """The pieces of one table, in a folder that is made if it is missing.

    Raises ValueError when the folder holds a table of another identity: the plain values that the
    rows depend on.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        path = self.folder / "table.json"
        if not path.exists():
            write_text(path, json.dumps(identity, indent=1))
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if changed := sorted(k for k in identity if found.get(k) != identity[k]):
            raise ValueError(
                f"{self.folder} holds features made with other {changed}; delete this folder, or "
                "give another --out"
            )

    def missing(self) -> int:
        """Return the number of the first piece that is not on disk."""
        piece = 0
        while self._path(piece).exists():
            piece += 1
        return piece

    def save(self, piece: int, rows: Mapping[str, Tensor]) -> None:
        """Write a piece atomically."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in rows.items()}
        write_bytes(self._path(piece), save(tensors))

    def load(self) -> dict[str, Tensor]:
        """Read the whole table: the rows of each column, in order."""
        pieces = [load_file(path) for path in sorted(self.folder.glob("*.safetensors"))]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def _path(self, piece: int) -> Path:
        return self.folder / f"{piece:05d}.safetensors"
