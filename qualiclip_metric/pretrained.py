"""Save a metric to a folder, load it by name, push it to the Hugging Face hub.

These are functions and not methods of the metric, which does not depend on files.
"""

import tempfile
from pathlib import Path
from typing import Any

from qualiclip_metric.build import checkpoint_of, complete, create
from qualiclip_metric.checkpoints import WeightsError, hub_source, save
from qualiclip_metric.checkpoints.download import HUB_FILE, hub_endpoint, is_offline
from qualiclip_metric.checkpoints.model_card import model_card
from qualiclip_metric.checkpoints.published import HUB_PREFIX
from qualiclip_metric.files import write_text
from qualiclip_metric.metric import QualiCLIP

CARD_FILE = "README.md"


def save_pretrained(model: QualiCLIP | str | Path, folder: str | Path) -> Path:
    """Write a model and its model card to a folder, in the layout of the hub's repositories.

    Args:
        model: A metric that `create` made, a registered name, or the path of a checkpoint.
        folder: Created if missing. `model.safetensors` is replaced, a `README.md` in it is kept.

    Raises:
        ValueError: When the model is none of these.
        WeightsError: When published weights are not available.
    """
    folder = Path(folder)
    checkpoint = checkpoint_of(model) if isinstance(model, QualiCLIP) else complete(model)
    save(checkpoint, folder / HUB_FILE)
    if not (folder / CARD_FILE).exists():
        write_text(folder / CARD_FILE, model_card(checkpoint, folder.name))
    return folder


def from_pretrained(
    name_or_folder: str | Path, *, revision: str | None = None, **options: Any
) -> QualiCLIP:
    """Load a metric from a folder that `save_pretrained` wrote, or from a repository of the hub.

    Args:
        name_or_folder: A folder, or `user/name`. A downloaded file stays in the hub's cache, from
            which it is loaded without a network.
        revision: Branch, tag or commit of the repository; default: `main`.
        options: As for `create`: `device`, `precision`, `temperature`, `engine`, `prompts`.

    Raises:
        ValueError: When it is neither a folder nor `user/name`, or a folder is given a revision.
        WeightsError: When the repository's file is not available, with the reason.
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
    """Upload a model and its model card to a repository of the hub, created if missing.

    The account is that of `hf auth login` or of the variable HF_TOKEN.

    Args:
        model: As for `save_pretrained`.
        repo: `user/name`.
        revision: Branch to commit to; default: `main`.
        private: Whether a new repository is private; default: the account's setting.
        message: Message of the commit.

    Returns:
        URL of the commit.

    Raises:
        WeightsError: When HF_HUB_OFFLINE forbids the network.
        HfHubHTTPError: When the hub refuses, for example without a token.
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
