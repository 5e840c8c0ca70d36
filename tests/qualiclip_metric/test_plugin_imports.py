"""pyiqa with our plugin in every order of imports, each in a process of its own.

RuntimeWarnings are errors there: pyiqa turns the failure of a plugin into one and goes on.
"""

import builtins
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from qualiclip_metric._import_hook import Around, Watcher

OURS, PYIQAS = "ours", "pyiqa's"
PROLOGUE = """
import json, os, sys
if os.environ.pop("NO_PKG_RESOURCES", None):
    sys.modules["pkg_resources"] = None
PATH = os.environ["QUALICLIP_WEIGHTS"]
found = []
def record(metric):
    import torch
    score = metric(torch.full((1, 3, 64, 48), 0.5)).item()
    assert 0 <= score <= 1, score
    ours = type(metric.net).__module__.startswith("qualiclip_metric")
    found.append("ours" if ours else "pyiqa's")
"""
EPILOGUE = "\nprint(json.dumps(found))\n"


@dataclass(frozen=True)
class Order:
    """Code of a process, and whose class each metric in it is to have."""

    what: str
    code: str
    expected: tuple[str, ...] = (OURS,)
    pkg_resources: bool = True  # openai-clip imports it
    env: dict[str, str] = field(default_factory=dict)


CREATE = "record(pyiqa.create_metric('qualiclip'))\n"
ORDERS = (
    Order("only pyiqa", "import pyiqa\n" + CREATE),
    Order("only pyiqa", "import pyiqa\n" + CREATE, pkg_resources=False),
    Order(
        "pyiqa, then ours; a registered name",
        "import pyiqa, qualiclip_metric\n"
        "qualiclip_metric.register_checkpoint('mine', PATH)\n"
        "record(pyiqa.create_metric('mine'))\n" + CREATE,
        (OURS, OURS),
    ),
    Order(
        "a name registered before pyiqa",
        "import qualiclip_metric\nqualiclip_metric.register_checkpoint('mine', PATH)\n"
        "import pyiqa\nrecord(pyiqa.create_metric('mine'))\n",
        pkg_resources=False,
    ),
    Order(
        "no import of ours: a name of ours is known once any metric was made",
        "import pyiqa\ntry:\n    pyiqa.create_metric('qualiclip-lite')\n"
        "except AssertionError:\n    found.append('unknown')\n"
        "pyiqa.create_metric('psnr')\n"
        "record(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n"
        "record(pyiqa.create_metric('qualiclip', weights='lite'))\n",
        ("unknown", OURS, OURS),
    ),
    Order(
        "pyiqa's class first",
        "import pyiqa.archs.qualiclip_arch\nimport qualiclip_metric, pyiqa\n" + CREATE,
    ),
    Order(
        "a name of ours, and pyiqa's class after ours",
        "import qualiclip_metric, pyiqa\n"
        + CREATE
        + "record(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n"
        + "import pyiqa.archs.qualiclip_arch as theirs\n"
        + CREATE
        + "untouched = theirs.QualiCLIP.__module__.startswith('pyiqa')\n"
        + "found.append('pyiqa\\'s' if untouched else 'ours')",
        (OURS, OURS, OURS, PYIQAS),
    ),
    Order(
        "pyiqa's class, which fails, after ours",
        "import pyiqa\n"
        + CREATE
        + "try:\n    import pyiqa.archs.qualiclip_arch\n"
        + "except ModuleNotFoundError:\n    found.append('failed')\n"
        + CREATE,
        (OURS, "failed", OURS),
        pkg_resources=False,
    ),
    Order(
        "list_models(), then ours",
        "import pyiqa, qualiclip_metric\n"
        "found.append(str('qualiclip-lite' in pyiqa.list_models(metric_mode='NR')))\n" + CREATE,
        ("True", OURS),
    ),
    Order(
        "QUALICLIP_PYIQA=off",
        "import qualiclip_metric, pyiqa\n"
        "from pyiqa.utils.registry import ARCH_REGISTRY\n"
        "import pyiqa.archs.qualiclip_arch\n"
        "found.append('pyiqa\\'s' if ARCH_REGISTRY.get('QualiCLIP').__module__.startswith('pyiqa')"
        " else 'ours')\n"
        "record(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n",
        (PYIQAS, OURS),
        env={"QUALICLIP_PYIQA": "off"},
    ),
    Order(
        "ours cannot be imported",
        "import pyiqa\nsys.modules['qualiclip_metric.build'] = None\n"
        "try:\n    pyiqa.create_metric('qualiclip')\n"
        "except ImportError as error:\n"
        "    found.append('clear error' if 'QUALICLIP_PYIQA=off' in str(error) else str(error))\n",
        ("clear error",),
    ),
)


FORKS = """
import json, os, sys, traceback
import numpy, pandas, PIL.Image, scipy, torch, torchvision, timm
torch.set_num_threads(1)
assert not any(name.startswith(("pyiqa", "qualiclip")) for name in sys.modules)
for code, variables in json.load(sys.stdin):
    read, write = os.pipe()
    if not os.fork():
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.environ.update(variables)
        try:
            exec(code, {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        print(json.dumps(pipe.read()), flush=True)
    os.wait()
"""
"""Runs each order in a fork of a process that has imported what pyiqa and we need, but not us."""


def run_orders(weights: Path) -> list[tuple[str, ...]]:
    """Classes that each order found, in a process that has imported neither pyiqa nor us."""
    tasks = []
    for order in ORDERS:
        env = {"QUALICLIP_WEIGHTS": str(weights), **order.env}
        if not order.pkg_resources:
            env["NO_PKG_RESOURCES"] = "1"
        tasks.append((PROLOGUE + order.code + EPILOGUE, env))
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", FORKS],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line).strip() for line in done.stdout.splitlines()]
    return [_found(text.splitlines()[-1] if text else "nothing") for text in said]


def _found(last: str) -> tuple[str, ...]:
    return tuple(json.loads(last)) if last.startswith("[") else (last,)


OPENAI_CLIP = all(find_spec(name) for name in ("clip", "pkg_resources"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks of one")
@pytest.mark.skipif(
    not OPENAI_CLIP, reason="needs openai-clip and setuptools<81 for pyiqa's own class"
)
def test_the_matrix(random_lite: Path) -> None:
    found = zip(ORDERS, run_orders(random_lite), strict=True)
    assert [(order, told) for order, told in found if told != order.expected] == []


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "watched_module.py").write_text("seen = list(events)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "watched_module"


def test_callbacks_stand_around_the_import(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    events: list[str] = []
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    watcher = Watcher({"json": Around(after=lambda: events.append("json"))})
    watcher.install()
    watcher.install()
    assert events == ["json"]
