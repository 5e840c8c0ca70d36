"""Content of torch files, without ever running what is in them.

A pickle can name any function to call. Plain files are read with `weights_only=True`. TorchScript
archives, as OpenAI publishes CLIP, are not loaded as programs: their one pickle is walked by an
unpickler that knows tensors and inert records only, and the tensors are collected by attribute.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric.formats.checkpoint import CheckpointError


def read_torch(path: Path) -> Any:
    """Content of a torch file: usually tensors by name.

    Raises:
        CheckpointError: When the file is damaged, is no torch file, or would run code.
    """
    archive = zipfile.is_zipfile(path)
    if not archive:
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise CheckpointError("truncated: the archive's end is missing; fetch it again")
    elif any(name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()):
        return _read_torchscript(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as err:
        raise CheckpointError(
            "refused: no torch file, or one that holds more than tensors and could run code when "
            f"it is loaded; only tensors are read ({str(err).splitlines()[0]})"
        ) from err
    except (RuntimeError, EOFError, ValueError, KeyError) as err:
        raise CheckpointError(f"damaged, or no torch file ({str(err).splitlines()[0]})") from err


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        try:
            with archive.open(pickled) as file:
                root = _RestrictedUnpickler(file, archive, pickled.removesuffix("data.pkl")).load()
        except (pickle.UnpicklingError, zipfile.BadZipFile, KeyError, EOFError) as err:
            raise CheckpointError(f"TorchScript archive cannot be read: {err}") from err
    return _collect(root)


_SAFE_GLOBALS = {
    ("collections", "OrderedDict"): dict,
    ("torch.jit._pickle", "build_intlist"): list,
    ("torch.jit._pickle", "build_doublelist"): list,
    ("torch.jit._pickle", "build_boollist"): list,
    ("torch.jit._pickle", "build_tensorlist"): list,
}
_DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class _Record:
    """Stands for an object of a TorchScript class: its attributes, and no behaviour."""


class _RestrictedUnpickler(pickle.Unpickler):
    """Unpickles TorchScript's attributes; every global that it does not know is refused."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Record
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) in _SAFE_GLOBALS:
            return _SAFE_GLOBALS[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not read")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        data = bytearray(self.archive.read(f"{self.folder}data/{key}"))
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _collect(record: Any, prefix: str = "") -> dict[str, Tensor]:
    """Tensors of a record and of the records in it, by dotted name."""
    tensors: dict[str, Tensor] = {}
    for name, value in vars(record).items() if isinstance(record, _Record) else ():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, _Record):
            tensors |= _collect(value, f"{prefix}{name}.")
    return tensors
