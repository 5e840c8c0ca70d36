"""Checkpoints: from a model's name to its tensors, and back to a file or a repository.

`download` is imported when one of its names is first used: a model in this package needs none.
"""

from typing import TYPE_CHECKING

from qualiclip_metric._lazy_names import lazy_names
from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.checkpoints.model_names import (
    EMBEDDED,
    load,
    names,
    register,
    registered,
    registered_name,
    resolve,
    signature_name,
)
from qualiclip_metric.checkpoints.own_format import save, save_pyiqa
from qualiclip_metric.checkpoints.published import PUBLISHED, Published, WeightsSource
from qualiclip_metric.checkpoints.reading import read

if TYPE_CHECKING:
    from qualiclip_metric.checkpoints.download import (
        LocalFile,
        WeightsError,
        cache_folder,
        fetch,
        hub_source,
        locate,
        sha256_of,
    )

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "Checkpoint",
    "CheckpointError",
    "LocalFile",
    "Published",
    "WeightsError",
    "WeightsSource",
    "cache_folder",
    "fetch",
    "hub_source",
    "load",
    "locate",
    "names",
    "read",
    "register",
    "registered",
    "registered_name",
    "resolve",
    "save",
    "save_pyiqa",
    "sha256_of",
    "signature_name",
]

_DOWNLOAD = (
    "LocalFile",
    "WeightsError",
    "cache_folder",
    "fetch",
    "hub_source",
    "locate",
    "sha256_of",
)
__getattr__ = lazy_names(__name__, dict.fromkeys(_DOWNLOAD, "download"))
