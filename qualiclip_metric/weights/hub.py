"""Models on the Hugging Face hub that users name themselves, `hf://user/name`."""

import re
from pathlib import Path

from qualiclip_metric.weights.download import DownloadError, address, download, sha256_of
from qualiclip_metric.weights.published import Source
from qualiclip_metric.weights.verified import WeightsError, home

HUB_PREFIX = "hf://"
"""What a name of a model on the hub begins with: `hf://user/name` or `hf://user/name@revision`."""
HUB_FILE = "model.safetensors"
"""File of such a repository that is the model."""


def hub_source(name: str) -> Source:
    """The file that `hf://user/name@revision` stands for.

    Raises:
        ValueError: When the name is of another form.
    """
    repo, at, revision = name.removeprefix(HUB_PREFIX).partition("@")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo) or bool(at) != bool(revision):
        raise ValueError(
            f"model: expected {HUB_PREFIX}user/name or {HUB_PREFIX}user/name@revision, got {name!r}"
        )
    return Source(HUB_FILE, repo=repo, revision=revision or "main")


def from_hub(name: str) -> Path:
    """A model of the hub: asked for anew where there is a network, from the hub's cache otherwise.

    The cache names a file by its digest, which is checked on every use.

    Args:
        name: As of `hub_source`.

    Raises:
        ValueError: When the name is of another form.
        WeightsError: When the file cannot be had or trusted.
    """
    from huggingface_hub import try_to_load_from_cache

    source = hub_source(name)
    assert source.repo is not None
    try:
        path, announced = download(source, home())
    except DownloadError as err:
        cached = try_to_load_from_cache(source.repo, source.file, revision=source.revision)
        if not isinstance(cached, str):
            raise WeightsError(
                f"{name}: {source.file} cannot be had from {address(source)}, and the hub's cache "
                f"does not hold it.\n  tried   {err}\n  mirror  HF_ENDPOINT names another hub\n"
                "  or      fetch the file elsewhere and give its path as the model"
            ) from err
        path, announced = Path(cached), None
    known = announced or path.resolve().name
    digest = sha256_of(path)
    if re.fullmatch("[0-9a-f]{64}", known) and digest != known:
        raise WeightsError(
            f"{path}: sha256 is {digest}, not the one that the hub announced, {known}. The file is "
            "damaged: delete it and try again"
        )
    return path
