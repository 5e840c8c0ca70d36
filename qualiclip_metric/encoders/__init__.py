"""Image encoders: RGB in [0, 1], (N, 3, H, W) -> features (N, D). They know nothing of quality.

Each is found by its architecture's name in `ENCODERS`; what they have in common is `Encoder`. One
is imported when it is used: what the other needs takes its time and memory.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qualiclip_metric.encoders.encoder import Encoder

if TYPE_CHECKING:
    from qualiclip_metric.encoders.lite import LiteEncoder
    from qualiclip_metric.encoders.rn50 import RN50Encoder

__all__ = ["ENCODERS", "Encoder", "LiteEncoder", "RN50Encoder"]

_HOME = {"LiteEncoder": "lite", "RN50Encoder": "rn50"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def _lite() -> Encoder:
    from qualiclip_metric.encoders.lite import LiteEncoder

    return LiteEncoder()


def _rn50() -> Encoder:
    from qualiclip_metric.encoders.rn50 import RN50Encoder

    return RN50Encoder()


ENCODERS: dict[str, Callable[[], Encoder]] = {"lite": _lite, "rn50": _rn50}
"""Architecture -> what makes the encoder, with random weights."""
