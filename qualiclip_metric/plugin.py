"""Plugin for pyiqa: `pyiqa.create_metric('qualiclip')` builds this package's metric.

The plugin is loaded in two ways; neither imports pyiqa or torch:

- pyiqa calls `register` through the entry point `pyiqa.archs` when it first looks up an
  architecture. This replaces pyiqa's class behind `qualiclip` and `qualiclip+...`.
- `import qualiclip_metric` installs an import hook, `_import_hook.watch_pyiqa`. pyiqa compares a
  metric's name with its table before it loads plugins, so new names must be in the table earlier.
  The hook enters them once pyiqa is imported; importing pyiqa here would take seconds.

pyiqa's class registers itself when its module is imported, and raises if the name is taken. The
import hook therefore unregisters our class before that import and registers it again afterwards.

Until a metric is built, this module imports only the standard library. pyiqa reports an error in
`register` as a warning and uses its own class; so a broken installation is reported by
`build_for_pyiqa`, as an error.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from qualiclip_metric._import_hook import watch_pyiqa

if TYPE_CHECKING:
    from torch import Tensor, nn

    from qualiclip_metric.metric import QualiCLIP

PYIQA_ARCH = "QualiCLIP"
"""pyiqa's architecture of `qualiclip` and `qualiclip+...`."""
OWN_ARCH = "QualiCLIPMetric"
"""Architecture of the models that only this package has."""

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
    """Register the architectures with pyiqa: the entry point. It may be called several times.

    With `QUALICLIP_PYIQA=off`, pyiqa's names keep its class and only new names are added.
    """
    from pyiqa.utils.registry import ARCH_REGISTRY

    ARCH_REGISTRY.register(build_for_pyiqa, name=OWN_ARCH, override=True)
    if takes_over():
        ARCH_REGISTRY.register(build_for_pyiqa, name=PYIQA_ARCH, override=True)
    watch_pyiqa()


def takes_over() -> bool:
    """Whether pyiqa's names use this package: unless `QUALICLIP_PYIQA=off`."""
    return os.environ.get(_SWITCH, "on").strip().lower() not in {"off", "0", "no", "false"}


def register_checkpoint(name: str, path: str | os.PathLike[str]) -> None:
    """Give a checkpoint a name, for `create` here and for `pyiqa.create_metric`.

    Args:
        name: A new name, valid until the process ends.
        path: Checkpoint in any format that `create` reads.

    Raises:
        ValueError: When the name is taken, or there is no such file.
    """
    from qualiclip_metric import checkpoints

    checkpoints.register(name, path)
    _register({name: name})


def _register(names: dict[str, str]) -> None:
    """Add metrics, by name in pyiqa and here, to pyiqa's table if pyiqa is imported.

    A name of pyiqa's is kept, with a warning.
    """
    table = getattr(sys.modules.get("pyiqa.default_model_configs"), "DEFAULT_CONFIGS", None)
    if table is None:
        return
    for name, model in names.items():
        if table.get(name, {}).get("metric_opts", {}).get("type", OWN_ARCH) != OWN_ARCH:
            warnings.warn(
                f"pyiqa has a metric {name!r} of its own; register the checkpoint by another name",
                stacklevel=3,
            )
            continue
        table[name] = {
            "metric_opts": {"type": OWN_ARCH, "model_type": model},
            "metric_mode": "NR",
            "score_range": "0, 1",
        }


def build_for_pyiqa(
    model_type: str = "qualiclip",
    weights: str | os.PathLike[str] | None = None,
    temperature: float | None = None,
    precision: str = "fp32",
    engine: str = "torch",
    **options: Any,
) -> "QualiCLIP":
    """Build the module that becomes `metric.net` in pyiqa.

    Like pyiqa's metrics it accepts grey images (N, 1, H, W), and it does not check the range of
    values: pyiqa does, unless `as_loss=True` or `check_input_range=False`. `weights` (a path or a
    registered name) replaces the model's; `options` are those of pyiqa's class, at their defaults.
    Raises ValueError when an option has a value that only pyiqa's class supports.
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
            check_input=False,
        )
    except WeightsError as err:
        raise WeightsError(f"{err}\n{_PYIQA_CURE}") from err
    metric.register_forward_pre_hook(_grey_to_rgb)
    return metric


def _grey_to_rgb(module: "nn.Module", args: "tuple[Tensor, ...]") -> "tuple[Tensor, ...]":
    """Repeat the channel of grey images (N, 1, H, W), which pyiqa allows."""
    img, *rest = args
    if img.ndim == 4 and img.shape[1] == 1:
        return (img.expand(-1, 3, -1, -1), *rest)
    return args


def unregister() -> None:
    """Free the name of pyiqa's class, which registers itself."""
    from pyiqa.utils.registry import ARCH_REGISTRY

    if takes_over():
        getattr(ARCH_REGISTRY, "_obj_map", {}).pop(PYIQA_ARCH, None)


def register_names() -> None:
    """Add the names that only this package has to pyiqa's table."""
    from qualiclip_metric import checkpoints

    _register({"qualiclip-lite": "lite", **{name: name for name in checkpoints.registered()}})
