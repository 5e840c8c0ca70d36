"""Where model weights are: names, the files behind them, downloads and digests."""

from qualiclip_metric.weights.download import hub_endpoint, is_offline
from qualiclip_metric.weights.hub import HUB_FILE, HUB_PREFIX
from qualiclip_metric.weights.published import PUBLISHED, Published, Source
from qualiclip_metric.weights.table import (
    EMBEDDED,
    hub_label,
    names,
    published,
    register,
    registered,
    registered_name,
    resolve,
)
from qualiclip_metric.weights.verified import (
    LocalFile,
    WeightsError,
    fetch,
    home,
    locate,
    record_path,
    verify,
)

__all__ = [
    "EMBEDDED",
    "HUB_FILE",
    "HUB_PREFIX",
    "PUBLISHED",
    "LocalFile",
    "Published",
    "Source",
    "WeightsError",
    "fetch",
    "home",
    "hub_endpoint",
    "hub_label",
    "is_offline",
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
