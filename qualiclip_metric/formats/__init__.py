"""Checkpoint files: any format that we read -> `Checkpoint`, and back."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from qualiclip_metric.formats.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.formats.layouts import from_torch
from qualiclip_metric.formats.ours import FORMAT, from_safetensors, save, save_pyiqa
from qualiclip_metric.formats.torchfile import read_torch

__all__ = ["Checkpoint", "CheckpointError", "load", "save", "save_pyiqa"]


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint of ours, of QualiCLIP, QualiCLIP+, OpenAI's CLIP RN50 or open_clip.

    The content decides, not the file's name. Nothing in the file is ever executed.

    Args:
        path: safetensors, a torch file, or a TorchScript archive.

    Raises:
        FileNotFoundError: When there is no such file.
        CheckpointError: When the file is damaged, would run code, or holds no such model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        return _load_safetensors(path) if _is_safetensors(path) else from_torch(read_torch(path))
    except (CheckpointError, KeyError) as err:
        reason = f"the header lacks {err}" if isinstance(err, KeyError) else err
        raise CheckpointError(f"{path}: {reason}") from err


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts as safetensors does: eight bytes of length, then a JSON object."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _load_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise CheckpointError(f"damaged, or no safetensors file ({err})") from err
    ours = metadata.get("format") == FORMAT or not any("visual." in key for key in tensors)
    return from_safetensors(tensors, metadata) if ours else from_torch(tensors)
