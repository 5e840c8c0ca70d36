"""What a score depends on, as one line that travels with the number. Knows tensors, no modules."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qualiclip_metric._version import __version__


@dataclass(frozen=True)
class Signature:
    """Everything that can move a score, in the manner of sacrebleu's signatures.

    Args:
        model: Registered name of the model, or its architecture for a checkpoint given as a path;
            `custom` once other weights were loaded into the module.
        weights: First eight hex digits of the digest of the model's tensors (`digest`).
        prompts: Antonym pairs and prompts per pair, as in `7x2`.
        temperature: Temperature of the softmax.
        precision: `fp32` or `bf16`.
        engine: What computes the trunk; only another than torch is named.
        version: Version of this package.
    """

    model: str
    weights: str
    prompts: str
    temperature: float
    precision: str
    engine: str = "torch"
    version: str = __version__

    def __str__(self) -> str:
        engine = "" if self.engine == "torch" else f"|{self.engine}"
        return (
            f"{self.model}|weights:{self.weights}|prompts:{self.prompts}"
            f"|T:{self.temperature:g}|{self.precision}{engine}|v{self.version}"
        )

    def with_weights(self, sha256: str) -> "Signature":
        """The signature after other weights were loaded; itself if they are the same."""
        if sha256[:8] == self.weights:
            return self
        return replace(self, model="custom", weights=sha256[:8])


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over every tensor that a score depends on, whatever file it came in.

    Args:
        state: State dict of a metric, by name.

    Returns:
        64 hex digits. Values count as fp32; counters of batch normalisation do not count.
    """
    sha = hashlib.sha256()
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            data = state[name].detach().to("cpu", torch.float32).contiguous()
            sha.update(f"{name}{tuple(data.shape)}".encode())
            sha.update(data.numpy().tobytes())
    return sha.hexdigest()
