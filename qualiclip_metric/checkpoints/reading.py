"""Read a checkpoint file of any known format."""

import pickle
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.checkpoints.own_format import FORMAT, from_safetensors
from qualiclip_metric.checkpoints.validation import check_values
from qualiclip_metric.files import first_line

_PARSER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    TypeError, ValueError, SafetensorError, pickle.UnpicklingError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors that the libraries raise on damaged files."""


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint of this package, QualiCLIP, QualiCLIP+, OpenAI's CLIP RN50 or open_clip.

    The format is recognised by content, not by suffix. No code in the file is executed, with the
    one exception that `torch_file` states, and values that no model can have are refused.

    Args:
        path: safetensors, a torch file, or OpenAI's TorchScript archive.

    Returns:
        The model as data.

    Raises:
        FileNotFoundError: When there is no such file.
        PermissionError: When it may not be read.
        CheckpointError: When the file is damaged, could run code, holds no such model, or holds
            values that are not finite. The message names the file, and the tensor at fault.
    """
    path, safe = Path(path), False
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        if path.stat().st_size == 0:
            raise CheckpointError("the file is empty (0 bytes); fetch or copy it again")
        safe = _is_safetensors(path)
        checkpoint = _read_safetensors(path) if safe else _read_torch(path)
        check_values(checkpoint)
    except CheckpointError as err:
        raise CheckpointError(f"{path}: {err}") from err
    except PermissionError:
        raise
    except _PARSER_ERRORS as err:
        kind = "safetensors" if safe else "torch"
        raise CheckpointError(
            f"{path}: damaged, or no {kind} file ({first_line(err)}); fetch it again"
        ) from err
    return replace(checkpoint, file=str(path))


def _read_torch(path: Path) -> Checkpoint:
    from qualiclip_metric.checkpoints.layouts import from_torch
    from qualiclip_metric.checkpoints.torch_file import read_torch

    return from_torch(read_torch(path))


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts as safetensors does: eight bytes of length, then a JSON object."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    ours = metadata.get("format") == FORMAT or not any("visual." in key for key in tensors)
    if ours:
        return from_safetensors(tensors, metadata)
    from qualiclip_metric.checkpoints.layouts import from_torch

    return from_torch(tensors)
