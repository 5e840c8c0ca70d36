"""Model card: the README of a model's folder or repository, written from its checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from qualiclip_metric.checkpoints.checkpoint import Checkpoint

LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC0": "cc0-1.0",
    "MIT": "mit",
}
"""Licence of a checkpoint -> the hub's name for it; every other one is `other`."""
TAGS = ("image-quality-assessment", "no-reference", "qualiclip")


def model_card(checkpoint: Checkpoint, name: str) -> str:
    """Write the model card of a checkpoint in Markdown, with the hub's front matter."""
    licence = LICENCES.get(checkpoint.licence, "other")
    front = ["license: " + licence]
    front += [f"license_name: {checkpoint.licence}"] if licence == "other" else []
    front += ["library_name: qualiclip-metric", "tags:", *(f"- {tag}" for tag in TAGS)]
    facts = {
        "architecture": checkpoint.architecture,
        "antonym prompts": "; ".join(" / ".join(pair) for pair in checkpoint.pairs) or "not stated",
        "temperature": checkpoint.temperature,
        "logit scale": checkpoint.logit_scale,
        "digest of the weights": checkpoint.digest()[:8],
        "licence": checkpoint.licence,
    }
    lines = [
        "---", *front, "---", "", f"# {name}", "",
        "No-reference image quality with antonym prompts: RGB in, a score in [0, 1] out, higher is "
        "better. Scores of different models cannot be compared; quote the signature with them.",
        "", "    import qualiclip_metric",
        f'    metric = qualiclip_metric.from_pretrained("{name}")    # a folder, or user/name',
        '    score = metric(qualiclip_metric.read("photo.jpg")[None])', "",
        *_table("Model", facts),
    ]  # fmt: skip
    if not checkpoint.training:
        lines += ["## Training", "", "The checkpoint does not say how it was trained.", ""]
    rest = {k: v for k, v in checkpoint.training.items() if not isinstance(v, Mapping)}
    lines += _table("Training", rest) if rest else []
    for section, values in checkpoint.training.items():
        if isinstance(values, Mapping):
            lines += _table(f"Training: {section}", dict(_flat(values)))
    return "\n".join(lines)


def _table(title: str, values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {_cell(value)} |" for name, value in values.items()]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values of nested mappings under dotted names; NaNs, which stand for "none", are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value == value:  # noqa: PLR0124 - NaN is not itself
            yield prefix + name, value


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
