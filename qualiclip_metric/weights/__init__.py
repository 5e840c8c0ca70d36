"""Where model weights are: names, the files behind them, downloads and digests."""

from qualiclip_metric.weights.published import PUBLISHED, Published, Source
from qualiclip_metric.weights.table import (
    EMBEDDED,
    LocalFile,
    WeightsError,
    fetch,
    home,
    locate,
    names,
    published,
    record_path,
    register,
    registered,
    registered_name,
    resolve,
    verify,
)

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "LocalFile",
    "Published",
    "Source",
    "WeightsError",
    "fetch",
    "home",
    "locate",
    "names",
    "published",
    "record_path",
    "register",
    "registered",
    "registered_name",
    "resolve",
    "verify",
]
