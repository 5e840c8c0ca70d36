"""Every order of imports, each in a fresh process with RuntimeWarnings as errors."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import imports
from qualiclip_metric._import_hook import Around, Watcher

THEIRS = all(find_spec(name) for name in ("clip", "pkg_resources"))


@pytest.mark.skipif(not THEIRS, reason="needs openai-clip and setuptools<81 for pyiqa's own class")
def test_the_matrix(random_lite: Path) -> None:
    found = list(imports.outcomes(random_lite))
    assert [outcome for outcome in found if not outcome.right] == []
    assert len(found) == len(imports.ORDERS)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "watched_module.py").write_text("seen = list(events)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "watched_module"


def test_callbacks_stand_around_the_import(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import importlib
    import sys

    events: list[str] = []
    monkeypatch.setattr(builtins, "events", events, raising=False)
    around = Around(after=lambda: events.append("after"), before=lambda: events.append("before"))
    watcher = Watcher({module: around})
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    watcher.install()
    watcher.install()
    loaded = importlib.import_module(module)
    monkeypatch.delitem(sys.modules, module)
    assert loaded.seen == ["before"]
    assert events == ["before", "after"]
    assert type(loaded.__loader__).__module__.startswith("_frozen_importlib")
    assert loaded.__spec__ is not None
    assert loaded.__spec__.loader is loaded.__loader__
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("watched_module_that_is_not_there")


def test_modules_that_are_there_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    events: list[str] = []
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    watcher = Watcher({"json": Around(after=lambda: events.append("json"))})
    watcher.install()
    watcher.install()
    assert events == ["json"]
