"""What a score depends on, as data and as one line that travels with the number."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from qualiclip_metric._version import __version__

if TYPE_CHECKING:
    from torch import Tensor

_BARE = (
    ("version", r"v(\d.*)"),
    ("precision", r"((?:fp|bf)\d+)"),
    ("engine", r"(openvino|torch)"),
    ("model", r"(.*)"),
)
"""Parts of a line that have no `key:`, by what they look like; the first that fits is meant."""


@dataclass(frozen=True)
class Signature:
    """Everything that can move a score, in the manner of sacrebleu's signatures.

    Args:
        model: Registered name of the model, or its architecture for a checkpoint given as a path;
            `custom` once other weights were loaded into the module.
        weights: First eight hex digits of the digest of the model's tensors (`digest`).
        prompts: Antonym pairs and prompts per pair, as in `7x2`; prompts that are not the model's
            own carry a digest of their texts, as in `2x2-1f0c63ab`.
        temperature: Temperature of the softmax.
        precision: `fp32` or `bf16`.
        engine: What computes the trunk; the line names only another than torch.
        size: Shorter side to which larger images are reduced before they are scored, px; 0, which
            line and dict leave out, where none are.
        version: Version of this package.
    """

    model: str
    weights: str
    prompts: str
    temperature: float
    precision: str
    engine: str = "torch"
    size: int = field(default=0, kw_only=True)
    version: str = __version__

    def __str__(self) -> str:
        return to_string(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The parts by name, for JSON; without the size where there is none."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("size", 0)}

    @classmethod
    def from_string(cls, text: str) -> "Signature":
        """The signature that a line states.

        >>> Signature.from_string("lite|weights:d553acdf|prompts:7x2|T:5|fp32|v0.1.0").temperature
        5.0

        Raises:
            ValueError: When a part is missing or unknown.
        """
        parts = {"size": 0, **from_string(text)}
        names = {one.name for one in fields(cls)}
        if parts.keys() != names:
            raise ValueError(
                f"signature: expected the parts {', '.join(sorted(names))}, got "
                f"{', '.join(sorted(parts)) or 'none'} in {text!r}"
            )
        if not (isinstance(parts["temperature"], float) and isinstance(parts["size"], int)):
            raise ValueError(f"signature: T and size should be numbers in {text!r}")
        return cls(**parts)

    def with_weights(self, sha256: str) -> "Signature":
        """The signature after other weights were loaded, with their prompts.

        Args:
            sha256: Digest of all tensors of the model now.

        Returns:
            The same signature where the weights are the same.
        """
        own, _, _ = self.prompts.partition("-")
        if sha256[:8] == self.weights and own == self.prompts:
            return self
        return replace(self, model="custom", weights=sha256[:8], prompts=own)


def to_string(parts: Mapping[str, Any]) -> str:
    """The one line of a signature's parts, ours or another metric's.

    Args:
        parts: Name -> value, as `Signature.as_dict` or `from_string` gives them.
    """
    return "|".join(
        _written(name, piece)
        for name, value in parts.items()
        for piece in (f"{value:g}" if isinstance(value, float) else str(value)).split("|")
        if (name, piece) != ("engine", "torch")
    )


def _written(name: str, value: str) -> str:
    bare = {"model": "", "precision": "", "engine": "", "version": "v", "temperature": "T:"}
    return f"{bare.get(name, f'{name}:')}{value}"


def from_string(text: str) -> dict[str, Any]:
    """The parts of a signature's line, ours or another metric's.

    Args:
        text: Parts separated by `|`, each `key:value` or bare.

    Returns:
        Name -> value, temperature and size numbers. Bare parts are named `version`, `precision`,
        `engine` or `model` by what they look like; a name that comes twice has its values joined by
        `|`.

    >>> from_string("mine|weights:9f2c|v1.0")
    {'model': 'mine', 'weights': '9f2c', 'version': '1.0'}
    """
    parts: dict[str, Any] = {}
    for part in text.split("|") if text else []:
        name, colon, value = part.partition(":")
        if not colon:
            name, value = _named(part)
        name = "temperature" if name == "T" else name
        parts[name] = f"{parts[name]}|{value}" if name in parts else value
    if "precision" in parts:
        parts.setdefault("engine", "torch")
    for name, number in (("temperature", float), ("size", int)):
        with suppress(KeyError, ValueError):
            parts[name] = number(parts[name])
    return parts


def _named(part: str) -> tuple[str, str]:
    """Name and value of a part without `key:`."""
    for name, form in _BARE:
        if found := re.fullmatch(form, part, re.DOTALL):
            return name, found[1]
    raise AssertionError(part)  # the last form fits everything


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Which parts of a signature changed.

    Args:
        before: Parts by name.
        after: Parts by name.

    Returns:
        One text for each, as in `weights 9f2c -> 0b77`; a part that is not there is `–`.
    """
    old, new = (
        {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in p.items()
        }
        for p in (before, after)
    )
    return tuple(
        f"{name} {old.get(name, '–')} -> {new.get(name, '–')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )


def prompts_part(count: int, pairs: Sequence[tuple[str, str]] = ()) -> str:
    """The prompts' part of a signature.

    Args:
        count: How many antonym pairs there are.
        pairs: Their texts, where they are not the model's own.
    """
    if not pairs:
        return f"{count}x2"
    texts = json.dumps([list(pair) for pair in pairs]).encode()
    return f"{count}x2-{hashlib.sha256(texts).hexdigest()[:8]}"


def digest(state: "Mapping[str, Tensor]") -> str:
    """SHA-256 over every tensor that a score depends on, whatever file it came in.

    Args:
        state: State dict of a metric, by name.

    Returns:
        64 hex digits. Values count as fp32; counters of batch normalisation do not count.
    """
    import torch

    sha = hashlib.sha256()
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            data = state[name].detach().to("cpu", torch.float32).contiguous()
            sha.update(f"{name}{tuple(data.shape)}".encode())
            sha.update(data.numpy().tobytes())
    return sha.hexdigest()
