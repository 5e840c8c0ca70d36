"""Checkpoints: from a model's name to its tensors, and back to a file or a repository."""

from qualiclip_metric.checkpoints.checkpoint import Checkpoint, CheckpointError
from qualiclip_metric.checkpoints.download import (
    LocalFile,
    WeightsError,
    cache_folder,
    fetch,
    hub_source,
    locate,
    sha256_of,
)
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
from qualiclip_metric.checkpoints.published import PUBLISHED, Published, Source
from qualiclip_metric.checkpoints.reading import read

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "Checkpoint",
    "CheckpointError",
    "LocalFile",
    "Published",
    "Source",
    "WeightsError",
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
