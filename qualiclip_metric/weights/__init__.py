"""Where model weights are: names, the files behind them, downloads and digests."""

from qualiclip_metric.weights.published import PUBLISHED, Published, Source
from qualiclip_metric.weights.table import (
    EMBEDDED,
    WeightsError,
    check,
    fetch,
    home,
    known_as,
    locate,
    names,
    published,
    record_of,
    register,
    registered,
    resolve,
    verify,
)

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "Published",
    "Source",
    "WeightsError",
    "check",
    "fetch",
    "home",
    "known_as",
    "locate",
    "names",
    "published",
    "record_of",
    "register",
    "registered",
    "resolve",
    "verify",
]
