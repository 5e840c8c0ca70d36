"""The job of docs/guide/ci.md, run step by step in a new repository as a runner's shell would.

Imitated are checkout (a clone), the job's environment, and each `run` with GitHub's shell options.
A stand-in for `pip` only notes its arguments, because tests have no network.
"""

import os
import re
import stat
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from qualiclip_metric import create, golden

yaml = pytest.importorskip("yaml")
pytest.importorskip("skimage", reason="some of the known images are scikit-image's photos")

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/guide/ci.md").read_text(encoding="utf-8")
PIP = '#!/bin/sh\necho "$@" >> "$PIP_LOG"\n'


def block(language: str, word: str) -> str:
    """The first code block of the page in a language that contains a word."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return next(text for text in blocks if word in text)


def shell(command: str, folder: Path, **environment: str) -> str:
    """Run as GitHub runs `run:` on Linux; fails the test with the output."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the page's test, and its golden file frozen once by hand."""
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests/test_metric_values.py").write_text(block("python", "metric_golden"))
    (folder / "requirements.txt").write_text("qualiclip-metric\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    golden.freeze(create("lite"), folder / "tests/golden/lite.json")
    git = "git -c user.name=a -c user.email=a@example.org"
    shell(f"git init -q && git add . && {git} commit -qm x", folder)
    return folder


def plugin() -> str:
    """The option that loads the plugin where the package is not installed."""
    module = "qualiclip_metric.golden.pytest_plugin"
    installed = any(point.value == module for point in entry_points(group="pytest11"))
    return "" if installed else f"-p {module}"


def python_path() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_job_passes_in_a_new_repository(project: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load(block("yaml", "runs-on"))
    job: dict[str, Any] = workflow["jobs"]["golden"]
    workspace, tools, log = tmp_path / "workspace", tmp_path / "tools", tmp_path / "pip.log"
    tools.mkdir()
    (tools / "pip").write_text(PIP)
    (tools / "pip").chmod(stat.S_IRWXU)
    environment = {name: str(value) for name, value in job["env"].items()}
    assert environment["TORCH_INDEX"] == "${{ vars.TORCH_INDEX }}"
    environment |= python_path() | {
        "TORCH_INDEX": "https://index.example.org/cpu", "PIP_LOG": str(log),
        "PYTEST_ADDOPTS": plugin(),
    }  # fmt: skip
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    shown = ""
    for step in job["steps"]:
        action, _, _ = step.get("uses", "").partition("@")
        if action == "actions/checkout":
            shell(f"git clone -q '{project}' '{workspace}'", tmp_path)
        elif not action:
            shown = shell(step["run"], workspace, **environment)
        if step.get("run", "").startswith("pip "):
            shell(step["run"], workspace, **environment | {"TORCH_INDEX": ""})
    assert "1 passed" in shown
    first, without_index, *others = log.read_text().splitlines()
    assert first == "install torch torchvision --index-url https://index.example.org/cpu"
    assert without_index == "install torch torchvision"
    assert set(others) == {"install -r requirements.txt"}
