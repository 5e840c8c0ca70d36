"""Fine-tuning by ranking degraded crops of pristine photos: no human score takes part.

``train(TrainConfig(...), images, out)`` writes a checkpoint that `qualiclip_metric.create` reads;
`qualiclip train` is the same from the command line. ``train_anchored`` makes `lite`: its head is
solved for in closed form against full-reference quality. ``train_plus`` is the exception: it fits
QualiCLIP+'s prompts to opinions.
"""

from qualiclip_metric.training.anchored import AnchoredConfig, train_anchored
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
    "train_plus",
    "validate",
]
