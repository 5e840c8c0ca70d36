"""Files in a run's folder: resumable state, model to score with, log of validations."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from qualiclip_metric.files import InUseError, exclusive_lock, write_bytes, write_text

STATE = "state.pt"
MODEL = "model.safetensors"
LOG = "validation.jsonl"


@contextmanager
def own_folder(out: str | Path, *, main: bool = True) -> Iterator[Path]:
    """Make a run's folder if it is missing, and lock it for one run at a time.

    Of processes that train together only `main` takes the lock. Raises ValueError when it is taken.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if not main:
        yield folder
        return
    try:
        with exclusive_lock(folder.resolve()):
            yield folder
    except InUseError as err:
        raise ValueError(
            f"another training writes to {folder}; wait for it, or give another --out"
        ) from err


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a resumable state atomically: a kill leaves the old file or the new one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getbuffer(), sync=True)


def load_state(folder: Path) -> dict[str, Any]:
    """Read the resumable state; only tensors and plain values are unpickled."""
    path = folder / STATE
    if not path.is_file():
        raise FileNotFoundError(f"--resume: no {STATE} in {folder}; start without --resume")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def log_validation(folder: Path, step: int, values: dict[str, Any]) -> None:
    """Append one validation; drop this step and later ones, which a resumed run repeats."""
    kept = [one for one in read_validations(folder) if one["step"] < step]
    lines = [json.dumps(one) + "\n" for one in (*kept, {"step": step, **values})]
    write_text(folder / LOG, "".join(lines))


def read_validations(folder: Path) -> list[dict[str, Any]]:
    """Read all validations of a run, in order."""
    path = folder / LOG
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
