"""Content of torch files, without ever running what is in them.

A pickle can name any function to call. Plain files are read with `weights_only=True`. TorchScript
archives, as OpenAI publishes CLIP, are not loaded as programs: their one pickle is walked by an
unpickler that knows tensors and inert records only, and the tensors are collected by attribute.

A compressed archive can unpack to a thousand times its size. Torch stores tensors as they are, so
the sizes that an archive's directory states are compared with the file's before anything is read.
"""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric.formats.checkpoint import CheckpointError

MAX_EXPANSION = 2
SLACK_BYTES = 16 << 20
"""An archive may unpack to `MAX_EXPANSION` times its size and this: its program text is compressed,
its tensors are not."""


def read_torch(path: Path) -> Any:
    """Content of a torch file: usually tensors by name.

    Args:
        path: A file that is there.

    Raises:
        CheckpointError: When the file is damaged, is no torch file, would run code, or would unpack
            to much more than its size.
    """
    archive = zipfile.is_zipfile(path)
    if archive:
        names = _checked_names(path)
        if any(name.endswith("/constants.pkl") for name in names):
            return _read_torchscript(path, names)
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
        ) from err  # torch's own text advises to load it all the same
    except (RuntimeError, EOFError, ValueError, KeyError) as err:
        raise CheckpointError(f"damaged, or no torch file ({first_line(err)})") from err


def first_line(err: BaseException) -> str:
    """The first line of an error's text, its type where it has none."""
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__


def _checked_names(path: Path) -> list[str]:
    """Names in an archive, after a look at the sizes that its directory states."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    if unpacked > MAX_EXPANSION * size + SLACK_BYTES:
        raise CheckpointError(
            f"refused: an archive of {size} bytes that unpacks to {unpacked}; torch stores tensors "
            "uncompressed, so this is no model"
        )
    return [entry.filename for entry in entries]


def _read_torchscript(path: Path, names: list[str]) -> dict[str, Tensor]:
    pickled = next((name for name in names if name.endswith("/data.pkl")), None)
    if pickled is None:
        raise CheckpointError("TorchScript archive cannot be read: it has no data.pkl")
    with zipfile.ZipFile(path) as archive:
        try:
            with archive.open(pickled) as file:
                folder = pickled.removesuffix("data.pkl")
                root = _RestrictedUnpickler(file, archive, folder).load()
        except (pickle.UnpicklingError, zipfile.BadZipFile, KeyError, EOFError) as err:
            raise CheckpointError(f"TorchScript archive cannot be read: {first_line(err)}") from err
    return _collect(root, set())


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
        self.storages: dict[str, Tensor] = {}

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
        """A storage, read once however often the pickle names it."""
        _, dtype, key, _, _ = pid
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.folder}data/{key}"))
            self.storages[key] = (
                torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            )
        return self.storages[key]


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _collect(record: Any, seen: set[int], prefix: str = "") -> dict[str, Tensor]:
    """Tensors of a record and of the records in it, by dotted name; each record once."""
    tensors: dict[str, Tensor] = {}
    seen.add(id(record))
    for name, value in vars(record).items() if isinstance(record, _Record) else ():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, _Record) and id(value) not in seen:
            tensors |= _collect(value, seen, f"{prefix}{name}.")
    return tensors
