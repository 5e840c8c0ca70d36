"""Packages of optional extras: imported where they are needed, with the cure where they are not."""

from importlib import import_module
from typing import Any


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module that an extra in setup.cfg installs; the ImportError states the command.

    The purpose, such as `ONNX export`, begins the message.
    """
    try:
        return import_module(module)
    except ImportError as err:
        raise ImportError(
            f"{purpose}: the package of {module} cannot be imported ({err}); "
            f"pip install 'qualiclip-metric[{extra}]'"
        ) from err
