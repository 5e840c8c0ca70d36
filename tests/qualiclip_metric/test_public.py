"""The public names, and what importing and scoring load."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import qualiclip_metric

STAGES = """
import sys
from pathlib import Path
import qualiclip_metric
print(*sys.modules)
import qualiclip_metric.golden.pytest_plugin
print(*sys.modules)
from qualiclip_metric import QualiCLIP, create, read, antonym_score, PROMPTS
print(*sys.modules)
import torch
create("lite")(torch.rand(1, 3, 64, 64))
print(*sys.modules)
"""
"""After each stage, the names of the modules that are loaded."""


def test_all_is_what_can_be_had() -> None:
    names = qualiclip_metric.__all__
    assert sorted(set(names)) == sorted(names) == dir(qualiclip_metric)
    for name in names:
        assert getattr(qualiclip_metric, name) is not None


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        qualiclip_metric.nonsense  # noqa: B018


def test_each_stage_loads_only_what_it_needs() -> None:
    command = [sys.executable, "-c", STAGES]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    package, plugin, names, scored = (set(line.split()) for line in done.stdout.splitlines())
    assert not (package | plugin) & {
        "torch", "numpy", "PIL", "pandas", "pyiqa", "scipy", "skimage", "typer",
    }  # fmt: skip
    assert "torch" in names
    assert not names & {"pyiqa", "pandas", "matplotlib", "typer"}
    assert not scored & {"timm", "torchvision", "open_clip"}


def test_one_score_loads_few_of_our_modules(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    code = (
        "import atexit, sys\n"
        "ours = lambda: [name for name in sys.modules if name.startswith('qualiclip_metric')]\n"
        "atexit.register(lambda: print(*ours()))\n"
        "from qualiclip_metric.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "score", str(tmp_path), "--out", str(tmp_path / "x.csv")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = done.stdout.split()
    # the modules to read for this path; other options and formats import theirs where chosen
    assert len(loaded) <= 60, loaded  # 58 with OpenVINO, 60 without
    for other in ("reference", "scoring.parquet", "sources.shard_source", "plugin"):
        assert f"qualiclip_metric.{other}" not in loaded
