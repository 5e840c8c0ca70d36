"""Image files -> scores, one result per file whatever happens to it."""

from qualiclip_metric.scoring.files import Metric, Result, score_files

__all__ = ["Metric", "Result", "score_files"]
