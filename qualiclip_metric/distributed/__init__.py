"""Scoring on many machines with Ray Data: its scheduler, its retries, its memory bounds."""

from qualiclip_metric.distributed.data import Pool, plan, remaining, score, write
from qualiclip_metric.distributed.inputs import read

__all__ = ["Pool", "plan", "read", "remaining", "score", "write"]
