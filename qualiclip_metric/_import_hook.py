"""Run code before and after the import of another package's module, without importing it.

A finder at the head of `sys.meta_path` recognises the watched names, lets the other finders find
the module, and wraps its loader. The module itself does not change.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NamedTuple


class Around(NamedTuple):
    """Functions to call before and after a module is executed; `after` also if the import fails."""

    after: Callable[[], None]
    before: Callable[[], None] | None = None


class Watcher(MetaPathFinder):
    """Finder that calls the functions of `actions`, by full name of the module."""

    def __init__(self, actions: dict[str, Around]) -> None:
        self.actions = actions

    def install(self) -> None:
        """Add the finder to `sys.meta_path` once; call `after` for modules already imported."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
            for name, action in self.actions.items():
                if name in sys.modules:
                    action.after()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the other finders' spec with a wrapped loader; None for names not watched."""
        if fullname not in self.actions:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Wrapped(spec.loader, self.actions[fullname])
        return spec


class _Wrapped(Loader):
    def __init__(self, loader: Loader, action: Around) -> None:
        self.loader, self.action = loader, action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__loader__ = self.loader
        if self.action.before is not None:
            self.action.before()
        try:
            self.loader.exec_module(module)
        finally:
            self.action.after()


# --- pyiqa: `plugin` is imported when pyiqa is ------------------------------------------------


def _register_names() -> None:
    from qualiclip_metric import plugin

    plugin.register_names()


def _register() -> None:
    from qualiclip_metric import plugin

    plugin.register()


def _unregister() -> None:
    from qualiclip_metric import plugin

    plugin.unregister()


_PYIQA = Watcher(
    {
        "pyiqa.default_model_configs": Around(after=_register_names),
        "pyiqa.utils.registry": Around(after=_register),
        "pyiqa.archs.qualiclip_arch": Around(before=_unregister, after=_register),
    }
)


def watch_pyiqa() -> None:
    """Register once pyiqa is imported; at once if it is imported already."""
    _PYIQA.install()
