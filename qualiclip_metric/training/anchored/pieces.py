"""A table of tensors in pieces on disk: an interrupted run computes only the missing pieces."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from qualiclip_metric.files import write_bytes, write_text


class Pieces:
    """The pieces of one table, in a folder that is made if it is missing.

    Raises ValueError when the folder holds a table of another identity: the plain values that the
    rows depend on.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity = folder, identity
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

    def load(self, without: str = "") -> dict[str, Tensor]:
        """Read the whole table, in order, except for one column."""
        columns: dict[str, list[Tensor]] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            with safe_open(path, "pt") as piece:
                for name in piece.keys():  # noqa: SIM118 - no mapping
                    if name != without:
                        columns.setdefault(name, []).append(piece.get_tensor(name))
        return {name: torch.cat(parts) for name, parts in columns.items()}

    def rows(self, piece: int, name: str, rows: slice) -> Tensor:
        """Read some rows of a column in one piece."""
        with safe_open(self._path(piece), "pt") as opened:
            found: Tensor = opened.get_slice(name)[rows]
            return found

    def _path(self, piece: int) -> Path:
        return self.folder / f"{piece:05d}.safetensors"
