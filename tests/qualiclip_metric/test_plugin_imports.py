"""pyiqa with our plugin in every order of imports, each in a process of its own.

RuntimeWarnings are errors there: pyiqa turns the failure of a plugin into one and goes on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
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
    """One order of imports.

    Args:
        what: The order in words.
        code: What the process runs.
        expected: What it tells, in order.
        pkg_resources: Whether the module that openai-clip needs can be imported.
        env: Variables of the process.
    """

    what: str
    code: str
    expected: tuple[str, ...] = (OURS,)
    pkg_resources: bool = True
    env: dict[str, str] = field(default_factory=dict)


CREATE = "record(pyiqa.create_metric('qualiclip'))\n"
ORDERS = (
    Order("only pyiqa", "import pyiqa\n" + CREATE),
    Order("only pyiqa", "import pyiqa\n" + CREATE, pkg_resources=False),
    Order(
        "ours, then pyiqa; a name of ours",
        "import qualiclip_metric, pyiqa\n"
        + CREATE
        + "record(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n",
        (OURS, OURS),
    ),
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
        "another metric first, then two of ours",
        "import pyiqa\npyiqa.create_metric('psnr')\n" + CREATE + CREATE,
        (OURS, OURS),
    ),
    Order(
        "pyiqa's class first",
        "import pyiqa.archs.qualiclip_arch\nimport qualiclip_metric, pyiqa\n" + CREATE,
    ),
    Order(
        "pyiqa's class after ours",
        "import qualiclip_metric, pyiqa\n"
        + CREATE
        + "import pyiqa.archs.qualiclip_arch as theirs\n"
        + CREATE
        + "untouched = theirs.QualiCLIP.__module__.startswith('pyiqa')\n"
        + "found.append('pyiqa\\'s' if untouched else 'ours')",
        (OURS, OURS, PYIQAS),
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


@dataclass(frozen=True)
class Found:
    """What one order told."""

    order: Order
    told: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether it told what it should."""
        return self.told == self.order.expected


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


def run_orders(weights: str | Path, orders: Sequence[Order] = ORDERS) -> list[Found]:
    """Run the orders, each in a process that has imported neither pyiqa nor us.

    Args:
        weights: Checkpoint that `qualiclip` is to be here; a small one will do.
        orders: Which.
    """
    tasks = []
    for order in orders:
        env = {"QUALICLIP_WEIGHTS": str(Path(weights).absolute()), **order.env}
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
    said = [json.loads(line).strip().splitlines() for line in done.stdout.splitlines()]
    return [_found(order, lines) for order, lines in zip(orders, said, strict=True)]


def _found(order: Order, lines: list[str]) -> Found:
    last = lines[-1] if lines else "ended without a word"
    return Found(order, tuple(json.loads(last)) if last.startswith("[") else (last,))


OPENAI_CLIP = all(find_spec(name) for name in ("clip", "pkg_resources"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks of one")
@pytest.mark.skipif(
    not OPENAI_CLIP, reason="needs openai-clip and setuptools<81 for pyiqa's own class"
)
def test_the_matrix(random_lite: Path) -> None:
    found = run_orders(random_lite)
    assert [order for order in found if not order.right] == []
    assert len(found) == len(ORDERS)


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
