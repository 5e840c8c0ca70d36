"""Base class of image encoders, which compute through their modules or through an engine.

The modules are the reference: they are trained, saved and differentiated. When no gradient is
needed, an engine computes the same feature maps several times faster from the trunk's layer graph.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from qualiclip_metric.engines import DTYPES, ENGINES, BuiltEngine
from qualiclip_metric.engines.layers import LayerGraph
from qualiclip_metric.signature import StorageKey, storage_key


class Encoder(nn.Module, ABC):
    """RGB in [0, 1], (N, 3, H, W), any size -> features (N, dim). Normalises its own input."""

    dim: int
    """Width of the features."""
    trunk: Any
    """The convolutional part; an engine may compute it, in a lower precision."""
    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.engine, self.precision = "torch", "fp32"
        self._ready: tuple[StorageKey, BuiltEngine] | None = None

    @property
    @abstractmethod
    def last_stage(self) -> nn.Module:
        """The last layer whose output has a height and a width."""

    @abstractmethod
    def maps(self, img: Tensor) -> tuple[Tensor, ...]:
        """Images -> the trunk's feature maps, through its modules."""

    @abstractmethod
    def features(self, maps: tuple[Tensor, ...]) -> Tensor:
        """The trunk's feature maps -> image features, (N, dim)."""

    @abstractmethod
    def layer_graph(self) -> LayerGraph:
        """The layers that `maps` computes in evaluation mode."""

    def compute_with(self, engine: str, precision: str = "fp32") -> None:
        """Choose the engine, a key of `ENGINES`, and the precision of feature maps, of `DTYPES`.

        They apply where no gradient is needed. The weights stay as they are.
        """
        self.engine, self.precision, self._ready = engine, precision, None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}  # copies and pickles build an engine of their own

    def forward(self, img: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, dim), not normalised.

        The modules compute in training mode, when a gradient is needed (of either mode), under
        autocast, in a trace, and when the trunk has hooks; otherwise the engine does. On a CPU, the
        engine's features of an image do not depend on its batch, to the last bit.
        """
        return self.from_maps(img, self.features)

    def from_maps(self, img: Tensor, function: Callable[[tuple[Tensor, ...]], Tensor]) -> Tensor:
        """Compute a function of the feature maps, row by row of its outcome; see `forward`."""
        engine = self._engine() if self._may_use_engine(img) else None
        if engine is None:
            return function(self.maps(img))
        maps = engine(img)
        if img.device.type != "cpu" or len(img) < 2:
            return function(maps)
        # image by image: the last digits of a matrix product depend on its number of rows
        alone = (tuple(stage[i : i + 1] for stage in maps) for i in range(len(img)))
        return torch.cat([function(one) for one in alone])

    def _may_use_engine(self, img: Tensor) -> bool:
        wants_gradient = torch.is_grad_enabled() and (
            img.requires_grad or any(p.requires_grad for p in self.parameters())
        )
        return not (
            self.training
            or wants_gradient
            or forward_ad.unpack_dual(img).tangent is not None  # type: ignore[no-untyped-call]
            or torch.is_autocast_enabled(img.device.type)
            or torch.jit._trace.is_tracing()  # type: ignore[no-untyped-call]
            or torch.compiler.is_compiling()
            or torch._C._functorch.is_functorch_wrapped_tensor(img)  # vmap, grad of torch.func
        )

    def _engine(self) -> BuiltEngine | None:
        """Engine for the weights as they are, built at its first use and after they have changed.

        None with hooks, or with weights of a precision that no engine has.
        """
        trunk = self.trunk
        if any(one._forward_hooks or one._forward_pre_hooks for one in trunk.modules()):
            return None
        own = next(trunk.parameters()).dtype
        if own not in (torch.float32, torch.bfloat16, torch.float16):
            return None
        key = storage_key(chain(trunk.parameters(), trunk.buffers()))
        if self._ready is None or self._ready[0] != key:
            dtype = own if self.precision == "fp32" else DTYPES[self.precision]
            engine = ENGINES[self.engine](self.layer_graph(), dtype, self.mean.device)
            self._ready = (key, engine)
        return self._ready[1]
