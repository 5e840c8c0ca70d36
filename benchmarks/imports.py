"""pyiqa with our plugin in every order of imports, each in a fresh process. Knows no scores.

RuntimeWarnings are errors there: pyiqa turns the failure of a plugin into one and goes on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

OURS, THEIRS = "ours", "pyiqa's"
PROLOGUE = """
import json, os, sys
if os.environ.pop("NO_PKG_RESOURCES", None):
    sys.modules["pkg_resources"] = None
PATH = os.environ["QUALICLIP_WEIGHTS"]
said = []
def tell(metric):
    import torch
    score = metric(torch.full((1, 3, 64, 48), 0.5)).item()
    assert 0 <= score <= 1, score
    said.append("ours" if type(metric.net).__module__.startswith("qualiclip_metric") else "pyiqa's")
"""
EPILOGUE = "\nprint(json.dumps(said))\n"


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


CREATE = "tell(pyiqa.create_metric('qualiclip'))\n"
ORDERS = (
    Order("only pyiqa", "import pyiqa\n" + CREATE),
    Order("only pyiqa", "import pyiqa\n" + CREATE, pkg_resources=False),
    Order(
        "ours, then pyiqa; a name of ours",
        "import qualiclip_metric, pyiqa\n"
        + CREATE
        + "tell(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n",
        (OURS, OURS),
    ),
    Order(
        "pyiqa, then ours; a registered name",
        "import pyiqa, qualiclip_metric\n"
        "qualiclip_metric.register_checkpoint('mine', PATH)\n"
        "tell(pyiqa.create_metric('mine'))\n" + CREATE,
        (OURS, OURS),
    ),
    Order(
        "a name registered before pyiqa",
        "import qualiclip_metric\nqualiclip_metric.register_checkpoint('mine', PATH)\n"
        "import pyiqa\ntell(pyiqa.create_metric('mine'))\n",
        pkg_resources=False,
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
        + "said.append('pyiqa\\'s' if theirs.QualiCLIP.__module__.startswith('pyiqa') else 'ours')",
        (OURS, OURS, THEIRS),
    ),
    Order(
        "pyiqa's class, which fails, after ours",
        "import pyiqa\n"
        + CREATE
        + "try:\n    import pyiqa.archs.qualiclip_arch\n"
        + "except ModuleNotFoundError:\n    said.append('failed')\n"
        + CREATE,
        (OURS, "failed", OURS),
        pkg_resources=False,
    ),
    Order(
        "list_models(), then ours",
        "import pyiqa, qualiclip_metric\n"
        "said.append(str('qualiclip-lite' in pyiqa.list_models(metric_mode='NR')))\n" + CREATE,
        ("True", OURS),
    ),
    Order(
        "QUALICLIP_PYIQA=off",
        "import qualiclip_metric, pyiqa\n"
        "from pyiqa.utils.registry import ARCH_REGISTRY\n"
        "import pyiqa.archs.qualiclip_arch\n"
        "said.append('pyiqa\\'s' if ARCH_REGISTRY.get('QualiCLIP').__module__.startswith('pyiqa')"
        " else 'ours')\n"
        "tell(pyiqa.create_metric('qualiclip-lite', weights=PATH))\n",
        (THEIRS, OURS),
        env={"QUALICLIP_PYIQA": "off"},
    ),
    Order(
        "ours cannot be imported",
        "import pyiqa\nsys.modules['qualiclip_metric.build'] = None\n"
        "try:\n    pyiqa.create_metric('qualiclip')\n"
        "except ImportError as error:\n"
        "    said.append('clear error' if 'QUALICLIP_PYIQA=off' in str(error) else str(error))\n",
        ("clear error",),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What one order told."""

    order: Order
    told: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether it told what it should."""
        return self.told == self.order.expected


def outcomes(
    weights: str | Path, orders: Sequence[Order] = ORDERS, processes: int = 2
) -> Iterator[Outcome]:
    """Run the orders, each in a process of its own.

    Args:
        weights: Checkpoint that `qualiclip` is to be here; a small one will do.
        orders: Which.
        processes: How many at a time.
    """
    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(lambda order: _outcome(order, Path(weights).absolute()), orders)


def _outcome(order: Order, weights: Path) -> Outcome:
    env = {**os.environ, "QUALICLIP_WEIGHTS": str(weights), "OMP_NUM_THREADS": "1", **order.env}
    if not order.pkg_resources:
        env["NO_PKG_RESOURCES"] = "1"
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROLOGUE + order.code + EPILOGUE],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = lines[-1] if lines else f"exit code {done.returncode}"
    return Outcome(order, tuple(json.loads(last)) if done.returncode == 0 else (last,))
