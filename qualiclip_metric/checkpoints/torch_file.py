"""Read torch files without running code that is in them.

A pickle can name any function to call, so files are read with `weights_only=True`, which allows
tensors only. A TorchScript archive is a program: it is opened only if it is a published file with a
known digest, as OpenAI publishes CLIP.
"""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from qualiclip_metric.checkpoints.checkpoint import CheckpointError
from qualiclip_metric.checkpoints.download import sha256_of
from qualiclip_metric.checkpoints.published import pinned_digests

MAX_EXPANSION = 2
SLACK_BYTES = 16 << 20
"""An archive may unpack to `MAX_EXPANSION` times its size plus this. Torch stores tensors
uncompressed; only the program text of an archive is compressed, which may be a thousandfold."""


def read_torch(path: Path) -> Any:
    """Read the content of a torch file, usually tensors by name.

    Raises CheckpointError when the file could run code, or would unpack to much more than its size;
    errors of damaged files are those of torch and zipfile.
    """
    archive = zipfile.is_zipfile(path)
    if archive:
        if any(name.endswith("/constants.pkl") for name in _names_in(path)):
            return _read_torchscript(path)
    else:
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise CheckpointError("truncated: the archive's end is missing; fetch it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as err:
        named = re.search(r"Unsupported global: GLOBAL (\S+)", str(err))
        raise CheckpointError(
            "refused: no torch file, or one that holds more than tensors and could run code when "
            f"it is loaded; only tensors are read{f', it asks for {named[1]}' if named else ''}"
        ) from err  # torch's own text advises weights_only=False


def _names_in(path: Path) -> list[str]:
    """Names in an archive, once the sizes that its directory states are checked."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    if unpacked > MAX_EXPANSION * size + SLACK_BYTES:
        raise CheckpointError(
            f"refused: an archive of {size} bytes that unpacks to {unpacked}; torch stores tensors "
            "uncompressed, so this is no model"
        )
    return [entry.filename for entry in entries]


def _read_torchscript(path: Path) -> Any:
    if (digest := sha256_of(path)) not in pinned_digests():
        raise CheckpointError(
            "refused: a TorchScript archive, which is a program; only OpenAI's published RN50.pt "
            f"is opened, and its sha256 is not {digest}. If you trust the file, save its tensors: "
            "torch.save(torch.jit.load(file).state_dict(), out)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.load is deprecated
        return torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
