"""Our models inside pyiqa: `pyiqa.create_metric('qualiclip')` builds ours. Only door to pyiqa.

Two ways lead here, and neither imports pyiqa or torch by itself:

- pyiqa calls `register` through the entry point `pyiqa.archs` at its first look-up of an
  architecture: the existing names `qualiclip` and `qualiclip+...` become ours with no import.
- `import qualiclip_metric` calls `watch`. pyiqa checks a metric's name against its table before any
  plugin loads, so a name of our own must be in that table earlier. `watch` therefore waits for
  pyiqa's modules with an import hook: importing pyiqa ourselves would cost every user seconds.

pyiqa's own class registers under the same name whenever its module is imported, which raises where
the name is taken: around that import we step aside, and come back after it.

This module imports the standard library alone until a metric is built. pyiqa turns an error in
`register` into a mere warning and goes on with its own class; a broken installation is therefore
met in `network`, where it reaches the user.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from qualiclip_metric._import_hook import Around, Watcher

if TYPE_CHECKING:
    from torch import Tensor, nn

    from qualiclip_metric.metric import QualiCLIP

THEIRS = "QualiCLIP"
"""Architecture name in pyiqa's configuration of `qualiclip` and `qualiclip+...`."""
OURS = "QualiCLIPMetric"
"""Architecture name of the models that pyiqa does not know by itself."""

_SWITCH = "QUALICLIP_PYIQA"
_PYIQA_CURE = (
    "  pyiqa   pyiqa.create_metric('qualiclip', weights='lite') needs no download; for the "
    "command, QUALICLIP_WEIGHTS=lite pyiqa qualiclip -t DIR"
)
_ONLY_VALUES = {
    "backbone": "RN50",
    "n_ctx": 16,
    "ctx_init": "",
    "prompt_specific_ctx": True,
    "pretrained": True,
    "pos_embedding": False,
}


def register() -> None:
    """Teach pyiqa our architectures (its entry point). Safe to call twice, in any order.

    With `QUALICLIP_PYIQA=off` pyiqa keeps its own class, and only names of our own are added.
    """
    from pyiqa.utils.registry import ARCH_REGISTRY

    ARCH_REGISTRY.register(network, name=OURS, override=True)
    if takes_over():
        ARCH_REGISTRY.register(network, name=THEIRS, override=True)
    watch()


def watch() -> None:
    """Wait for pyiqa's modules, or register now with those that are there already."""
    _WATCHER.install()


def takes_over() -> bool:
    """Whether pyiqa's own names are ours, too: yes, unless `QUALICLIP_PYIQA=off`."""
    return os.environ.get(_SWITCH, "on").strip().lower() not in {"off", "0", "no", "false"}


def register_checkpoint(name: str, path: str | os.PathLike[str]) -> None:
    """Give a checkpoint a name, for `create` here and for `pyiqa.create_metric`.

    Args:
        name: A new name. It lasts as long as the process.
        path: Checkpoint in any format that `create` reads.

    Raises:
        ValueError: When the name is taken, or there is no such file.
    """
    from qualiclip_metric import checkpoints

    checkpoints.register(name, path)
    _offer({name: name})


def _offer(names: dict[str, str]) -> None:
    """Add metrics to pyiqa's table: name in pyiqa -> name of the model here.

    Names that pyiqa knows are left alone, with a warning. Without effect until pyiqa is imported;
    then every model known by that time is offered.
    """
    table = getattr(sys.modules.get("pyiqa.default_model_configs"), "DEFAULT_CONFIGS", None)
    if table is None:
        return
    for name, model in names.items():
        if table.get(name, {}).get("metric_opts", {}).get("type", OURS) != OURS:
            warnings.warn(
                f"pyiqa has a metric {name!r} of its own; register the checkpoint by another name",
                stacklevel=3,
            )
            continue
        table[name] = {
            "metric_opts": {"type": OURS, "model_type": model},
            "metric_mode": "NR",
            "score_range": "0, 1",
        }


def network(
    model_type: str = "qualiclip",
    weights: str | os.PathLike[str] | None = None,
    temperature: float | None = None,
    precision: str = "fp32",
    engine: str = "torch",
    **options: Any,
) -> "QualiCLIP":
    """Build a metric for pyiqa: what `metric.net` is.

    Args:
        model_type: Name of the model.
        weights: Checkpoint to use in its place: a path or a registered name.
        temperature: Of the softmax; the checkpoint's own, 2 for the published models, unless told.
        precision: `fp32` or `bf16`.
        engine: `torch`, `openvino` or `auto`, as for `create`.
        options: pyiqa's own options of the class that we stand in for, at their defaults.

    Returns:
        The metric, which also takes grey images (N, 1, H, W) here, as pyiqa's metrics do.

    Raises:
        ImportError: When this package cannot be imported, with the reason.
        WeightsError: When published weights cannot be had, with pyiqa's own way out.
        ValueError: When an option has a value that only pyiqa's own class serves.
    """
    for name, value in options.items():
        if name not in _ONLY_VALUES or value != _ONLY_VALUES[name]:
            raise ValueError(
                f"{name}={value!r}: qualiclip-metric takes weights, temperature, "
                f"precision and engine; {_SWITCH}=off brings back pyiqa's own class"
            )
    try:
        from qualiclip_metric.build import create
    except ImportError as err:
        raise ImportError(
            f"pyiqa's {model_type!r} is served by qualiclip-metric, which cannot be imported "
            f"({err}): pip install --upgrade --force-reinstall qualiclip-metric, "
            f"or set {_SWITCH}=off for pyiqa's own class"
        ) from err
    from qualiclip_metric.checkpoints import WeightsError

    try:
        metric = create(
            model_type if weights is None else os.fspath(weights),
            temperature=temperature,
            precision=precision,
            engine=engine,
        )
    except WeightsError as err:
        raise WeightsError(f"{err}\n{_PYIQA_CURE}") from err
    metric.register_forward_pre_hook(_grey_to_rgb)
    return metric


def _grey_to_rgb(module: "nn.Module", args: "tuple[Tensor, ...]") -> "tuple[Tensor, ...]":
    """Repeat the channel of grey images, which pyiqa lets through."""
    img, *rest = args
    if img.ndim == 4 and img.shape[1] == 1:
        return (img.expand(-1, 3, -1, -1), *rest)
    return args


def _step_aside() -> None:
    from pyiqa.utils.registry import ARCH_REGISTRY

    if takes_over():
        getattr(ARCH_REGISTRY, "_obj_map", {}).pop(THEIRS, None)


def _offer_all() -> None:
    from qualiclip_metric import checkpoints

    _offer({"qualiclip-lite": "lite", **{name: name for name in checkpoints.registered()}})


_WATCHER = Watcher(
    {
        "pyiqa.default_model_configs": Around(after=_offer_all),
        "pyiqa.utils.registry": Around(after=register),
        "pyiqa.archs.qualiclip_arch": Around(before=_step_aside, after=register),
    }
)
