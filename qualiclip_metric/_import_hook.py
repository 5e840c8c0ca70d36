"""Run code around the import of someone else's module, without importing it.

A finder at the head of `sys.meta_path` waits for the watched names, lets the ordinary finders find
the module, and calls back before and after it is executed. Nothing else about the module changes,
and a module that is never imported costs nothing.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NamedTuple


class Around(NamedTuple):
    """What to call before a module is executed, and after, also when its import fails."""

    after: Callable[[], None]
    before: Callable[[], None] | None = None


class Watcher(MetaPathFinder):
    """Calls back around the import of the modules in `actions`, keyed by full name."""

    def __init__(self, actions: dict[str, Around]) -> None:
        self.actions = actions

    def install(self) -> None:
        """Start waiting; for modules that are already there, call `after` now. Safe to repeat."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
            for name, action in self.actions.items():
                if name in sys.modules:
                    action.after()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The ordinary finders' answer, its loader wrapped; None for names not watched."""
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
