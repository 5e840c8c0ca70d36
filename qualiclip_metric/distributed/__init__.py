"""Scoring on many machines with Ray Data: its scheduler, its retries, its memory bounds."""

from qualiclip_metric.distributed.data import Pool, plan, score, write
from qualiclip_metric.distributed.inputs import read

__all__ = ["Pool", "plan", "read", "score", "write"]
