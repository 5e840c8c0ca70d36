"""The names of models, and the file that each stands for."""

import os
from importlib import resources
from pathlib import Path

from qualiclip_metric.weights.hub import HUB_PREFIX, from_hub, hub_source
from qualiclip_metric.weights.published import PUBLISHED, Published
from qualiclip_metric.weights.verified import fetch

EMBEDDED = {"lite": "lite.safetensors"}
"""Models whose weights are inside the package."""

_REGISTERED: dict[str, Path] = {}


def names() -> tuple[str, ...]:
    """Every name that `resolve` knows, embedded first."""
    return (*EMBEDDED, *PUBLISHED, *_REGISTERED)


def registered() -> tuple[str, ...]:
    """Names that the user gave."""
    return tuple(_REGISTERED)


def register(name: str, path: str | os.PathLike[str]) -> None:
    """Give a checkpoint a name, for as long as the process lasts.

    Args:
        name: A name that is not taken.
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


def resolve(model: str | Path) -> Path:
    """The local file of a model, fetched if need be.

    Args:
        model: A registered name, `hf://user/name` with or without `@revision`, or a path.
            `QUALICLIP_WEIGHTS`, a path or a name, stands in for the name `qualiclip`.

    Returns:
        Path of the checkpoint, its digest checked if it is a published one.

    Raises:
        ValueError: When it is neither a registered name nor a file.
        WeightsError: When published weights cannot be had or trusted.
    """
    chosen = _chosen(model)
    if isinstance(chosen, str):
        if chosen.startswith(HUB_PREFIX):
            return from_hub(chosen)
        if chosen in EMBEDDED:
            return Path(str(resources.files("qualiclip_metric") / "data" / EMBEDDED[chosen]))
        if chosen in _REGISTERED:
            return _REGISTERED[chosen]
        if chosen in PUBLISHED:
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
    """The name that `resolve` follows for a model, None where it follows a path.

    Args:
        model: As for `resolve`.
    """
    chosen = _chosen(model)
    return chosen if isinstance(chosen, str) and chosen in names() else None


def hub_label(model: str | Path, file: str | Path) -> str | None:
    """What a signature calls a model of the hub, `user/name@` and eight digits of the commit.

    Args:
        model: As for `resolve`.
        file: What `resolve` gave for it.

    Returns:
        None where the model is not one of the hub.
    """
    chosen = _chosen(model)
    if not isinstance(chosen, str) or not chosen.startswith(HUB_PREFIX):
        return None
    return f"{hub_source(chosen).repo}@{Path(file).parent.name[:8]}"


def published(model: str | Path) -> Published | None:
    """The entry of published weights in the table; None for all other models.

    Args:
        model: As for `resolve`.
    """
    return PUBLISHED.get(registered_name(model) or "")


def _chosen(model: str | Path) -> str | Path:
    default = os.environ.get("QUALICLIP_WEIGHTS")
    return default if model == "qualiclip" and default else model
