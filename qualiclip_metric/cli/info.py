"""`qualiclip info`: versions, processor, devices, models and their files, caches, the plugin."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from qualiclip_metric._version import __version__

PACKAGES = (
    "torch torchvision open_clip_torch timm pyiqa kornia pillow numpy openvino accelerate "
    "scikit-image captum"
).split()
"""Packages whose versions bear on scores or commands; those of extras may be missing."""


def info(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show versions, device, models with their licences and files, caches, and the pyiqa plugin."""
    facts = gather()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for title, entries in facts.items():
        typer.echo(f"{title}")
        width = max(map(len, entries), default=0)
        for name, value in entries.items():
            typer.echo(f"  {name:<{width}}  {value}")


def gather() -> dict[str, dict[str, str]]:
    """Section -> name -> fact. Reads files and asks torch; never the network."""
    from qualiclip_metric import checkpoints

    return {
        "versions": {
            "qualiclip-metric": __version__,
            "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            **{name: _installed(name) or "not installed" for name in PACKAGES},
        },
        "device": _device(),
        "models": {name: _model(name) for name in checkpoints.names()},
        "caches": _caches(),
        "pyiqa plugin": {"status": _plugin()},
    }


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, str]:
    import torch

    from qualiclip_metric.engines.processor import has_bf16_instructions

    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    dtypes = ("amx_bf16", "avx512_bf16", "avx512_f", "avx2")
    facts = {
        "cpu": f"{abilities.get('cpu_name', platform.processor() or 'unknown')}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads for torch",
        "instructions": ", ".join(name for name in dtypes if abilities.get(name)) or "unknown",
        "bf16": "fast" if has_bf16_instructions() else "works; no faster than fp32 here",
    }
    for number in range(torch.cuda.device_count()):
        facts[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    if torch.backends.mps.is_available():
        facts["mps"] = "available"
    return facts


def _model(name: str) -> str:
    """Signature, licence and file of a registered model, or its state."""
    from qualiclip_metric import build, checkpoints

    try:
        if name in checkpoints.PUBLISHED:
            licence, found = checkpoints.PUBLISHED[name].licence, checkpoints.locate(name)
            file = found.path if found else "not on this machine (qualiclip weights)"
            return f"{licence}; {file}"
        signature, licence = build.create(name).signature, checkpoints.load(name).licence
        return f"{signature}; {licence}; {checkpoints.resolve(name)}"
    except (ValueError, OSError, checkpoints.WeightsError) as err:
        return f"unusable: {err}"


def _caches() -> dict[str, str]:
    from huggingface_hub.constants import HF_HUB_CACHE
    from torch.hub import get_dir

    from qualiclip_metric import checkpoints

    folders = {
        "weights": checkpoints.cache_folder(),
        "hub": Path(HF_HUB_CACHE),
        "torch": Path(get_dir()),
    }
    return {
        name: f"{path}" if path.is_dir() else f"{path} (not there)"
        for name, path in folders.items()
    }


def _plugin() -> str:
    found = [e for e in metadata.entry_points(group="pyiqa.archs") if e.name == "qualiclip_metric"]
    version = _installed("pyiqa")
    if version is None:
        return "pyiqa is not installed"
    if not found:
        return "not registered: install the package (pip install qualiclip-metric)"
    return f"registered with pyiqa {version} as {found[0].value}"
