"""The Hugging Face hub's conventions: a model saved to a folder, loaded by name, pushed.

These are functions and not methods, since the metric's module knows no files.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qualiclip_metric import formats
from qualiclip_metric.build import checkpoint_of, complete, create
from qualiclip_metric.files import write_text
from qualiclip_metric.formats import Checkpoint
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.weights import HUB_FILE, HUB_PREFIX, WeightsError, hub_endpoint, is_offline
from qualiclip_metric.weights.hub import hub_source

CARD_FILE = "README.md"
LICENCES = {
    "Apache-2.0": "apache-2.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC0": "cc0-1.0",
    "MIT": "mit",
}
"""Licence of a checkpoint -> the hub's name for it; any other is `other`."""
TAGS = ("image-quality-assessment", "no-reference", "qualiclip")


def save_pretrained(model: QualiCLIP | str | Path, folder: str | Path) -> Path:
    """Write a model and its card to a folder, as the hub's repositories hold them.

    Args:
        model: A metric that `create` made, a registered name, or the path of a checkpoint.
        folder: Where to; it is made. `model.safetensors` is replaced, a `README.md` that is there
            already is kept.

    Returns:
        The folder.

    Raises:
        ValueError: When the model is none.
        WeightsError: When published weights cannot be had.
        OSError: When the folder cannot be written to.
    """
    folder = Path(folder)
    checkpoint = checkpoint_of(model) if isinstance(model, QualiCLIP) else complete(model)
    formats.save(checkpoint, folder / HUB_FILE)
    if not (folder / CARD_FILE).exists():
        write_text(folder / CARD_FILE, model_card(checkpoint, folder.name))
    return folder


def from_pretrained(
    name_or_folder: str | Path, *, revision: str | None = None, **options: Any
) -> QualiCLIP:
    """A metric from a folder of `save_pretrained`, or from a repository of the hub.

    Args:
        name_or_folder: A folder, or `user/name`. A file fetched from the hub stays in the hub's
            cache, which also serves it without network.
        revision: Branch, tag or commit of the repository; `main` unless told.
        options: As for `create`: `device`, `precision`, `temperature`, `engine`, `prompts`.

    Raises:
        ValueError: When there is no such folder and the name is none, or a folder has a revision.
        WeightsError: When the repository's file cannot be had; the message says why.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        name = f"{HUB_PREFIX}{name_or_folder}@{revision or 'main'}"
        try:
            hub_source(name)
        except ValueError as err:
            raise ValueError(
                f"expected a folder, or user/name on the hub, got {str(name_or_folder)!r}, "
                "where no folder is"
            ) from err
        return create(name, **options)
    if revision is not None:
        raise ValueError(f"revision: a folder has none, got {revision!r} for {folder}")
    if not (folder / HUB_FILE).is_file():
        raise ValueError(f"expected {HUB_FILE} in {folder}, found none; save_pretrained writes it")
    return create(folder / HUB_FILE, **options)


def push_to_hub(
    model: QualiCLIP | str | Path,
    repo: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    message: str = "Upload model",
) -> str:
    """Upload a model and its card to a repository of the hub, which is made if need be.

    The account is the one of `hf auth login`, or of the variable HF_TOKEN.

    Args:
        model: As for `save_pretrained`.
        repo: `user/name`.
        revision: Branch to commit to; `main` unless told.
        private: Whether a new repository is private; the account's default unless told.
        message: Message of the commit.

    Returns:
        Address of the commit.

    Raises:
        WeightsError: When HF_HUB_OFFLINE forbids the network.
        HfHubHTTPError: When the hub refuses, for instance for want of a token.
    """
    if is_offline():
        raise WeightsError(f"{repo}: not pushed, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub_endpoint(), library_name="qualiclip-metric")
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_pretrained(model, Path(scratch) / repo.rpartition("/")[2])
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, revision=revision, commit_message=message
        )
    return str(commit.commit_url)


def model_card(checkpoint: Checkpoint, name: str) -> str:
    """The model card that a checkpoint's own metadata gives: what it is and how it was trained.

    Args:
        checkpoint: The model.
        name: How to call it in the title and in the lines that load it.

    Returns:
        Markdown with the hub's front matter.
    """
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
    """Values of nested mappings under dotted names, in order; those that are NaN left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value == value:  # noqa: PLR0124 - NaN is not itself
            yield prefix + name, value


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
