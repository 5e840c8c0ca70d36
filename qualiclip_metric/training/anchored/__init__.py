"""Objective `anchored`: `lite`'s head in closed form, against full-reference quality.

Pristine crops are degraded (`groups`), put once through the frozen trunk (`table`), ranked by a
full-reference metric across contents, types and levels, and a ridge regression maps the features
to the ranks (`fit`). The prompts stay the interface: each antonym pair's cosine difference
realises one linear head. No human score takes part, no step is taken, and nothing is random after
the crops.
"""

from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.run import train_anchored

__all__ = ["AnchoredConfig", "train_anchored"]
