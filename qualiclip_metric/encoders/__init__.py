"""Image encoders: RGB in [0, 1], (N, 3, H, W) -> features (N, D).

`ENCODERS` maps an architecture's name to its encoder; `Encoder` is their base class. An encoder's
module is imported at its first use.
"""

from collections.abc import Callable, Collection

from qualiclip_metric.encoders.encoder import Encoder

__all__ = ["ENCODERS", "Encoder"]


def _lite(names: Collection[str] = ()) -> Encoder:
    from qualiclip_metric.encoders.lite import LiteEncoder

    return LiteEncoder(weighted="pooling.head" in names)


def _rn50(names: Collection[str] = ()) -> Encoder:
    from qualiclip_metric.encoders.rn50 import RN50Encoder

    return RN50Encoder()


ENCODERS: dict[str, Callable[[Collection[str]], Encoder]] = {"lite": _lite, "rn50": _rn50}
"""Architecture -> function from the names of a state dict to an encoder with random weights."""
