"""The metric that a command's options ask for."""

from pathlib import Path
from typing import TYPE_CHECKING

from qualiclip_metric.cli.terminal import fail

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP


def choose_device(device: str) -> str:
    """The device that is meant: for `auto` cuda, then mps, then the CPU, whichever is there."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def all_devices(device: str) -> list[str]:
    """The devices that are meant: for `auto` every GPU, or what `choose_device` says."""
    import torch

    if device == "auto" and torch.cuda.device_count() > 1:
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [choose_device(device)]


def load_metric(
    model: str,
    device: str,
    precision: str = "fp32",
    engine: str = "torch",
    *,
    prompts: Path | None = None,
    size: str | None = None,
) -> "QualiCLIP":
    """The metric; a wrong name, file or device is a usage error."""
    from qualiclip_metric.build import create
    from qualiclip_metric.prompts import read_pairs

    try:
        pairs = None if prompts is None else read_pairs(prompts)
        return create(
            model,
            device=choose_device(device),
            precision=precision,
            engine=engine,
            prompts=pairs,
            size=size,
        )
    except (ValueError, RuntimeError, AssertionError, OSError) as err:  # torch's of devices, too
        fail(err)
