"""Image files -> scores, one row per image whatever happens to it.

    options.py       ScoreOptions, MetricOptions
    columns.py       Row, and the list of columns that are written of it
    reader.py        Item -> pixels or an error message
    batches.py       batches of images of one size, decoded ahead
    pipeline.py      score_items: items -> rows, on one device
    devices.py       score_on_devices: the same on several
    text_formats.py  rows -> csv, jsonl, json, a table; parquet.py: rows -> Parquet
    results.py       where rows are written, resumed and locked
    api.py           qualiclip_metric.score
    picks.py         qualiclip_metric.pick: the best photo of each burst

The names are imported when first used: options, columns and results need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualiclip_metric.scoring.columns import Row
    from qualiclip_metric.scoring.devices import score_on_devices
    from qualiclip_metric.scoring.options import ScoreOptions
    from qualiclip_metric.scoring.pipeline import score_files, score_items

__all__ = ["Row", "ScoreOptions", "score_files", "score_items", "score_on_devices"]

_HOME = {
    "Row": "columns",
    "ScoreOptions": "options",
    "score_files": "pipeline",
    "score_items": "pipeline",
    "score_on_devices": "devices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
