"""Training: three objectives, each a function from settings and images to a checkpoint.

- ``train``: fine-tuning by ranking degraded crops of pristine photos, the paper's method (`loop`).
- ``train_anchored``: `lite`'s heads in closed form against full-reference quality (`anchored`).
- ``train_plus``: QualiCLIP+'s prompts fitted to opinions (`plus`), the only one with human scores.

`qualiclip train` runs them from the command line; `qualiclip_metric.create` reads the checkpoints.
"""

from qualiclip_metric.training.anchored import (
    AnchoredConfig,
    train_anchored,
    train_diagnosis,
)
from qualiclip_metric.training.config import TrainConfig
from qualiclip_metric.training.loop import train
from qualiclip_metric.training.photos import find as find_photos
from qualiclip_metric.training.plus import PlusConfig, train_plus
from qualiclip_metric.training.validation import validate

__all__ = [
    "AnchoredConfig",
    "PlusConfig",
    "TrainConfig",
    "find_photos",
    "train",
    "train_anchored",
    "train_diagnosis",
    "train_plus",
    "validate",
]
