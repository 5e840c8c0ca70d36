"""Objective `anchored`: `lite`'s heads in closed form, against full-reference quality.

Pristine crops are degraded (`draws`) and passed once through the frozen trunk (`features`). A
full-reference metric ranks them across contents, types and levels; a ridge regression maps the
features to the ranks (`heads`, `fit`). The projection is then solved for, so that each antonym
pair's cosine difference gives one of these linear heads (`run`). The diagnosis is fitted last, to
versions of whole photos as they are scored (`diagnosis`). No human score, and no randomness after
the crops and versions.
"""

from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.run import train_anchored, train_diagnosis

__all__ = ["AnchoredConfig", "train_anchored", "train_diagnosis"]
