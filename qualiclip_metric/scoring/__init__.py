"""Image files -> scores: one row per image, with a score or an error.

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

from typing import TYPE_CHECKING

from qualiclip_metric._lazy_names import lazy_names

if TYPE_CHECKING:
    from qualiclip_metric.scoring.columns import Row
    from qualiclip_metric.scoring.devices import score_on_devices
    from qualiclip_metric.scoring.options import ScoreOptions
    from qualiclip_metric.scoring.pipeline import score_files, score_items

__all__ = ["Row", "ScoreOptions", "score_files", "score_items", "score_on_devices"]

__getattr__ = lazy_names(
    __name__,
    {
        "Row": "columns",
        "ScoreOptions": "options",
        "score_files": "pipeline",
        "score_items": "pipeline",
        "score_on_devices": "devices",
    },
)
