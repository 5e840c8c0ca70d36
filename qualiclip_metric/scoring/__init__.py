"""Image files -> scores, one result per file whatever happens to it."""

from qualiclip_metric.scoring.devices import score_on_devices
from qualiclip_metric.scoring.files import Result, score_files
from qualiclip_metric.scoring.items import Metric, Options, score_items

__all__ = ["Metric", "Options", "Result", "score_files", "score_items", "score_on_devices"]
