"""No-reference image quality with antonym prompts: QualiCLIP, its training and its benchmark.

    import qualiclip_metric
    qualiclip_metric.score("photo.jpg")        # a number in [0, 1], higher is better
    metric = qualiclip_metric.create("lite")
    score = metric(qualiclip_metric.read("photo.jpg")[None])    # (1, 1), differentiable

The names are imported when first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from qualiclip_metric._import_hook import watch_pyiqa
from qualiclip_metric._lazy_names import lazy_names
from qualiclip_metric._version import __version__

if TYPE_CHECKING:
    from qualiclip_metric.build import create
    from qualiclip_metric.explanations import explain
    from qualiclip_metric.images import ImageError, read
    from qualiclip_metric.metric import QualiCLIP, antonym_score
    from qualiclip_metric.plugin import register_checkpoint
    from qualiclip_metric.pretrained import from_pretrained, push_to_hub, save_pretrained
    from qualiclip_metric.prompts import PROMPTS
    from qualiclip_metric.scoring.api import score
    from qualiclip_metric.scoring.picks import pick

__all__ = [
    "PROMPTS",
    "ImageError",
    "QualiCLIP",
    "__version__",
    "antonym_score",
    "create",
    "explain",
    "from_pretrained",
    "pick",
    "push_to_hub",
    "read",
    "register_checkpoint",
    "save_pretrained",
    "score",
]

__getattr__ = lazy_names(
    __name__,
    {
        "PROMPTS": "prompts",
        "ImageError": "images",
        "QualiCLIP": "metric",
        "antonym_score": "metric",
        "create": "build",
        "explain": "explanations",
        "from_pretrained": "pretrained",
        "pick": "scoring.picks",
        "push_to_hub": "pretrained",
        "read": "images",
        "register_checkpoint": "plugin",
        "save_pretrained": "pretrained",
        "score": "scoring.api",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)


watch_pyiqa()
