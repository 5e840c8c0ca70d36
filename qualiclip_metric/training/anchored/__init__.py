"""Objective `anchored`: `lite`'s trunk and heads, against full-reference quality.

Pristine crops, some of them composed as photographers do, are degraded (`draws`), and a
full-reference metric ranks them across contents, types and levels. The trunk is fine-tuned to the
ranks (`trunk`). Then the crops pass through it once (`features`), and a ridge regression maps the
features to the ranks in closed form (`heads`, `fit`). The projection is solved for, so that each
antonym pair's cosine difference gives one of these linear heads (`run`). The diagnosis is fitted
last, to versions of whole photos as they are scored (`diagnosis`). No human score.
"""

from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.run import train_anchored, train_diagnosis

__all__ = ["AnchoredConfig", "train_anchored", "train_diagnosis"]
