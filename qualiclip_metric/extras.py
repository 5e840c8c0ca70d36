"""Packages of optional extras: imported where they are needed, with the cure where they are not."""

from importlib import import_module
from typing import Any


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module that an extra of this package installs.

    Args:
        module: Name of the module.
        extra: Extra in setup.cfg that installs it.
        purpose: What it is needed for, which begins the message: `ONNX export`.

    Returns:
        The module.

    Raises:
        ImportError: When it cannot be imported, with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as err:
        raise ImportError(
            f"{purpose}: the package of {module} cannot be imported ({err}); "
            f"pip install 'qualiclip-metric[{extra}]'"
        ) from err
