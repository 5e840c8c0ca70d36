"""Names of models, the file behind each name, and the checkpoint in it."""

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

from qualiclip_metric.checkpoints.checkpoint import Checkpoint
from qualiclip_metric.checkpoints.published import HUB_PREFIX, PUBLISHED
from qualiclip_metric.checkpoints.reading import read

EMBEDDED = {"lite": "lite.safetensors"}
"""Models whose weights are inside the package."""
BASE = "qualiclip"
"""The model that QualiCLIP+ takes its encoder and its text tower from."""

_REGISTERED: dict[str, Path] = {}


def names() -> tuple[str, ...]:
    """Every name that `resolve` knows, embedded models first."""
    return (*EMBEDDED, *PUBLISHED, *_REGISTERED)


def registered() -> tuple[str, ...]:
    """Names given by `register`."""
    return tuple(_REGISTERED)


def register(name: str, path: str | os.PathLike[str]) -> None:
    """Give a checkpoint a name, until the process ends.

    Args:
        name: A new name, or one registered before.
        path: The checkpoint.

    Raises:
        ValueError: When the name is taken, or there is no such file.
    """
    if name in {*EMBEDDED, *PUBLISHED}:
        raise ValueError(f"name: {name!r} is taken; choose one other than {', '.join(names())}")
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise ValueError(f"path: expected a checkpoint, found no file at {file}")
    _REGISTERED[name] = file


def load(model: str | Path) -> Checkpoint:
    """Load the whole checkpoint of a model, as `resolve` finds it.

    QualiCLIP+'s learned prompts come with the encoder of `qualiclip`.
    """
    checkpoint = read(resolve(model))
    if not checkpoint.encoder:
        checkpoint = checkpoint.with_base_model(read(resolve(BASE)))
    entry = PUBLISHED.get(registered_name(model) or "")
    if entry is None:
        return checkpoint
    return replace(checkpoint, licence=entry.licence, temperature=entry.temperature)


def resolve(model: str | Path) -> Path:
    """Return the verified local file of a model; published weights are downloaded when missing.

    A model is a registered name, `hf://user/name` with or without `@revision`, or a path.
    `QUALICLIP_WEIGHTS`, a path or a name, replaces the name `qualiclip`. Raises ValueError when it
    is none of these, WeightsError when published weights are not available.
    """
    chosen = _after_variable(model)
    if isinstance(chosen, str):
        if chosen in EMBEDDED:
            return Path(str(resources.files("qualiclip_metric") / "data" / EMBEDDED[chosen]))
        if chosen in _REGISTERED:
            return _REGISTERED[chosen]
        if chosen in PUBLISHED or chosen.startswith(HUB_PREFIX):
            from qualiclip_metric.checkpoints import download

            fetch = download.fetch if chosen in PUBLISHED else download.fetch_from_hub
            return fetch(chosen)
    path = Path(chosen).expanduser()
    if path.is_file():
        return path
    origin = "model" if chosen == model else "QUALICLIP_WEIGHTS"
    folder = "; of a folder that save_pretrained wrote, give model.safetensors"
    raise ValueError(
        f"{origin}: {str(chosen)!r} is neither a registered name ({', '.join(names())}) nor a file"
        f"{folder if path.is_dir() else ''}"
    )


def registered_name(model: str | Path) -> str | None:
    """The registered name that `resolve` uses for a model; None for a path or a hub's model."""
    chosen = _after_variable(model)
    return chosen if isinstance(chosen, str) and chosen in names() else None


def signature_name(model: str | Path, checkpoint: Checkpoint) -> str:
    """The model's part of a signature.

    It is the registered name; `user/name@` and eight digits of the commit for a model of the hub;
    the architecture for a path.
    """
    chosen = _after_variable(model)
    if isinstance(chosen, str) and chosen.startswith(HUB_PREFIX):
        from qualiclip_metric.checkpoints.download import hub_source

        # the hub's cache: .../snapshots/COMMIT/model.safetensors
        return f"{hub_source(chosen).repo}@{Path(checkpoint.file).parent.name[:8]}"
    return registered_name(model) or checkpoint.architecture


def _after_variable(model: str | Path) -> str | Path:
    """The model, or the one in QUALICLIP_WEIGHTS for the name `qualiclip`."""
    replacement = os.environ.get("QUALICLIP_WEIGHTS")
    return replacement if model == "qualiclip" and replacement else model
