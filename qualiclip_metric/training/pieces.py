"""A table of tensors in pieces on disk: a run that was cut off goes on where pieces are missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from qualiclip_metric.files import write_bytes, write_text


class Pieces:
    """The pieces of one table.

    Args:
        folder: Made where it is missing.
        identity: What the rows depend on, as plain values; None for a table that is claimed
            already.

    Raises:
        ValueError: When the folder holds a table of something else.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        if identity is not None:
            self._claim(identity)

    def _claim(self, identity: Mapping[str, Any]) -> None:
        path = self.folder / "table.json"
        if not path.exists():
            write_text(path, json.dumps(identity, indent=1))
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if changed := sorted(k for k in identity if found.get(k) != identity[k]):
            raise ValueError(
                f"{self.folder} holds features made with other {changed}; delete it, or give "
                "another --out"
            )

    def has(self, piece: int) -> bool:
        """Whether a piece is there."""
        return self._path(piece).exists()

    def missing(self) -> int:
        """Number of the first piece that is not there."""
        piece = 0
        while self.has(piece):
            piece += 1
        return piece

    def save(self, piece: int, rows: Mapping[str, Tensor]) -> None:
        """Write a piece; it appears whole or not at all."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in rows.items()}
        write_bytes(self._path(piece), save(tensors))

    def load(self) -> dict[str, Tensor]:
        """The whole table: each column's rows, in order."""
        pieces = [load_file(path) for path in sorted(self.folder.glob("*.safetensors"))]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def _path(self, piece: int) -> Path:
        return self.folder / f"{piece:05d}.safetensors"
