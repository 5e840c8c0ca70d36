"""Antonym prompts: QualiCLIP's seven pairs, and pairs read from a file."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

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


FAULT_PAIRS: tuple[Pair, ...] = (
    ("Sharp photo.", "Out-of-focus photo."),
    ("Clean photo.", "Grainy photo."),
    ("Uncompressed photo.", "Photo with compression artifacts."),
    ("Well-exposed photo.", "Badly exposed photo."),
    ("Natural colors.", "Unnatural colors."),
)
"""Five more pairs that `lite`'s projection was solved for: blur, noise, compression, exposure,
colour. No cosine to them is computed, but leaving them out would move every score."""


def likeliest_fault(faults: Mapping[str, float]) -> str:
    """Name the likeliest fault with its probability: `blur 87%`, `no fault 64%`; empty of none."""
    if not faults:
        return ""
    fault = max(faults, key=faults.__getitem__)
    return f"{fault_name(fault)} {faults[fault]:.0%}"


def fault_name(fault: str) -> str:
    """Return `no fault` for `none`, any other name as it is."""
    return "no fault" if fault == "none" else fault


def check_pairs(pairs: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """Convert the pairs to tuples; ValueError unless each has two non-empty texts."""
    if isinstance(pairs, str | Path) or not isinstance(pairs, Sequence):
        raise ValueError(
            f"prompts: expected a list of (positive, negative) texts, got {pairs!r}; "
            "qualiclip_metric.prompts.read_pairs(path) makes one from a file"
        )
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
    """Read antonym pairs from a TOML file: `pairs = [["Sharp image.", "Blurry image."], ...]`.

    Raises ValueError for a missing file and for any other content.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:  # the decoders' are ValueErrors
        raise ValueError(f"prompts: {path} cannot be read as TOML ({err})") from err
    if content.keys() != {"pairs"} or not isinstance(content["pairs"], list):
        raise ValueError(
            f'prompts: expected {path} to hold pairs = [["Sharp image.", "Blurry image."], ...] '
            f"and nothing else, got {', '.join(sorted(content)) or 'nothing'}"
        )
    return check_pairs(content["pairs"])


def pair_name(pair: Pair) -> str:
    """Shorten a pair: ("Sharp image.", "Blurry image.") -> "Sharp/Blurry image"."""
    good, bad = (text.strip().rstrip(".").split() for text in pair)
    shared = 0
    while shared < min(len(good), len(bad)) - 1 and good[-1 - shared] == bad[-1 - shared]:
        shared += 1
    kept = len(good) - shared
    name = f"{' '.join(good[:kept])}/{' '.join(bad[: len(bad) - shared])}"
    return " ".join([name, *good[kept:]])
