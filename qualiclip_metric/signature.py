"""Signatures: everything that a score depends on, as data and as one line beside the number."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qualiclip_metric._version import __version__

if TYPE_CHECKING:
    from torch import Tensor

NATIVE = "native"
"""The size of a model that scores images as they are."""
RAW = "raw"
"""Pixels without a conversion of colours: tensors as they are given, numbers of a file."""

_WITHOUT_KEY = (
    ("version", r"v(\d.*)"),
    ("precision", r"((?:fp|bf)\d+)"),
    ("engine", r"(openvino|torch)"),
    ("model", r"(.*)"),
)
"""Parts of lines written before 0.2.0 that have no `key:`, by their form; the first match counts.
Signatures of other metrics may have such parts in any version."""

StorageKey = tuple[tuple[int, int], ...]
"""Result of `storage_key`."""


@dataclass(frozen=True)
class Signature:
    """The settings that change a score, written as sacrebleu writes its signatures.

    Args:
        model: Registered name of the model, or its architecture for a checkpoint given by path;
            `custom` if the weights were changed after `create`.
        weights: First eight hex digits of the SHA-256 of the model's tensors (`digest`).
        prompts: Antonym pairs and prompts per pair, as in `7x2`. Pairs given by the user are
            followed by a digest of their texts, as in `2x2-1f0c63ab`.
        temperature: Temperature of the softmax.
        precision: `fp32` or `bf16`.
        engine: `torch` or `openvino`, which computes the trunk.
        size: Shorter side in px to which larger images are reduced, or `native`.
        colour: `srgb` if the colours of files were converted to sRGB by their profiles, `raw` if
            the pixels were scored as they are.
        version: Version of this package.
    """

    model: str
    weights: str
    prompts: str
    temperature: float
    precision: str
    engine: str = "torch"
    size: int | str = NATIVE
    colour: str = RAW
    version: str = __version__

    def __str__(self) -> str:
        return to_string(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The parts by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_string(cls, text: str) -> "Signature":
        """Parse a signature of this package, of any version.

        >>> Signature.from_string("lite|weights:d553acdf|prompts:7x2|T:5|fp32|v0.1.0").temperature
        5.0

        Raises:
            ValueError: When a part is missing or unknown.
        """
        parts = from_string(text)
        names = {one.name for one in fields(cls)}
        if parts.keys() != names:
            raise ValueError(
                f"signature: expected the parts {', '.join(sorted(names))}, got "
                f"{', '.join(sorted(parts)) or 'none'} in {text!r}"
            )
        sized = isinstance(parts["size"], int) or parts["size"] == NATIVE
        if not (isinstance(parts["temperature"], float) and sized):
            raise ValueError(f"signature: temperature and size should be numbers in {text!r}")
        return cls(**parts)

    def of_files(self, colour: str) -> "Signature":
        """Return the signature of scores of files whose colours were read as `images.read` does."""
        return replace(self, colour=colour)

    def with_other_weights(self, sha256: str) -> "Signature":
        """Return the signature after the weights changed; the digest is that of all tensors now."""
        own_prompts, _, _ = self.prompts.partition("-")
        return replace(self, model="custom", weights=sha256[:8], prompts=own_prompts)


def to_string(parts: Mapping[str, Any]) -> str:
    """Write the parts of a signature as one line, `key:value|key:value`."""
    return "|".join(
        f"{name}:{piece}"
        for name, value in _normalised(parts).items()
        for piece in value.split("|")
    )


def from_string(text: str) -> dict[str, Any]:
    """Parse the line of a signature, of any version of this package or of another metric.

    Parts are separated by `|`, each `key:value` or a value alone (see `_WITHOUT_KEY`). Values of a
    name that occurs twice are joined by `|`. Parts that our older lines left out are filled in:
    engine torch, size native, colour raw.

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
    parts = _completed(parts)
    for name, number in (("temperature", float), ("size", int)):
        with suppress(KeyError, ValueError):
            parts[name] = number(parts[name])
    return parts


def _named(part: str) -> tuple[str, str]:
    """Name and value of a part without `key:`."""
    found = ((name, re.fullmatch(form, part, re.DOTALL)) for name, form in _WITHOUT_KEY)
    return next((name, match[1]) for name, match in found if match)  # the last form always does


def _completed(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the parts that our older signatures left out; only ours have a precision."""
    left_out = {"engine": "torch", "size": NATIVE, "colour": RAW}
    return {**(left_out if "precision" in parts else {}), **parts}


def _normalised(parts: Mapping[str, Any]) -> dict[str, str]:
    """The parts as text, ours in the order of `Signature`, the others behind them."""
    whole = _completed(parts)
    names = dict.fromkeys([one.name for one in fields(Signature) if one.name in whole])
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in {**names, **whole}.items()
    }


@lru_cache(64)  # a file of rows states one line many times
def same(first: str, second: str, *ignored: str) -> bool:
    """Whether two lines state the same settings, in the form of any version."""
    one, other = (_normalised(from_string(line)) for line in (first, second))
    return all(one.get(k) == other.get(k) for k in one.keys() | other.keys() if k not in ignored)


def same_scale(first: str, second: str) -> bool:
    """Whether scores of two signatures have one scale, as a percentile needs it.

    Precision, engine and version may differ: they move a score by .012 at most.
    """
    return same(first, second, "precision", "engine", "version")


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """List the parts that changed, as in `weights 9f2c -> 0b77`; `–` is a part that is absent."""
    old, new = _normalised(before), _normalised(after)
    return tuple(
        f"{name} {old.get(name, '–')} -> {new.get(name, '–')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )


def prompts_part(count: int, pairs: Sequence[tuple[str, str]] = ()) -> str:
    """Write the prompts' part of a signature, with a digest of the pairs that the user gave."""
    if not pairs:
        return f"{count}x2"
    texts = json.dumps([list(pair) for pair in pairs]).encode()
    return f"{count}x2-{hashlib.sha256(texts).hexdigest()[:8]}"


def storage_key(tensors: "Iterable[Tensor]") -> StorageKey:
    """Address and count of in-place changes of each tensor: equal if no value has changed."""
    return tuple((one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors)


def digest(state: "Mapping[str, Tensor]") -> str:
    """SHA-256 over every tensor that a score depends on, independent of the file's format.

    Args:
        state: State dict of a metric.

    Returns:
        64 hex digits. Values are taken as fp32; batch normalisation's counters are left out.
    """
    import torch

    sha = hashlib.sha256()
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            data = state[name].detach().to("cpu", torch.float32).contiguous()
            sha.update(f"{name}{tuple(data.shape)}".encode())
            sha.update(data.numpy().tobytes())
    return sha.hexdigest()
