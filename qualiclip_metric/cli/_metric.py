"""The device and the metric that a command's options name."""

from pathlib import Path
from typing import TYPE_CHECKING

from qualiclip_metric.cli.terminal import fail
from qualiclip_metric.scoring.options import MetricOptions

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.prompts import Pair


def choose_device(device: str) -> str:
    """Resolve `auto`: cuda, then mps, then the CPU, whichever is there."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def all_devices(device: str) -> list[str]:
    """Resolve `auto` to every GPU, or as `choose_device` does."""
    import torch

    if device == "auto" and torch.cuda.device_count() > 1:
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [choose_device(device)]


def read_prompts(path: Path | None) -> "tuple[Pair, ...] | None":
    """Read the pairs of `--prompts`; an error ends the command."""
    from qualiclip_metric.prompts import read_pairs

    try:
        return None if path is None else read_pairs(path)
    except (ValueError, OSError) as err:
        fail(err)


def make_metric(options: MetricOptions, device: str) -> "QualiCLIP":
    """Make the metric; a wrong name, file or device ends the command."""
    try:
        return options.create(choose_device(device))
    except (ValueError, RuntimeError, AssertionError, OSError) as err:  # torch's for a device
        fail(err)


def load_metric(
    model: str,
    device: str,
    precision: str = "fp32",
    engine: str = "torch",
    *,
    prompts: Path | None = None,
    size: str | None = None,
) -> "QualiCLIP":
    """Make the metric of a command's options."""
    return make_metric(MetricOptions(model, precision, engine, read_prompts(prompts), size), device)
