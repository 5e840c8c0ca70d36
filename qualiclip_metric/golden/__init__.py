"""Golden scores for CI: notice when a metric's values change."""

from qualiclip_metric.golden.check import (
    REASON,
    TOLERANCE,
    Golden,
    GoldenError,
    GoldenReport,
    ScoreChange,
    check,
    freeze,
    load,
    score_images,
)
from qualiclip_metric.golden.images import IMAGES

__all__ = [
    "IMAGES",
    "REASON",
    "TOLERANCE",
    "Golden",
    "GoldenError",
    "GoldenReport",
    "ScoreChange",
    "check",
    "freeze",
    "load",
    "score_images",
]
