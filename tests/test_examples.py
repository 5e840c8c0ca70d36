"""The Python of docstrings, README and pages runs."""

import ast
import doctest
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
FUNCTIONS = [
    "antonym_score",
    "create",
    "distortions.distort",
    "explain",
    "read",
    "scoring.score_files",
    "torchmetrics.QualiCLIPScore",
    "torchmetrics.qualiclip_score",
]
PAGES = [
    "README.md",
    "docs/guide/distortions.md",
    "docs/guide/explain.md",
    "docs/guide/gmad.md",
    "docs/guide/pyiqa.md",
    "docs/guide/python.md",
    "docs/guide/torchmetrics.md",
    "docs/lab/pyiqa.md",
]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with the photos that the examples name."""
    photo = Image.radial_gradient("L").resize((128, 96)).convert("RGB")
    photo.save(tmp_path / "photo.jpg")
    photo.save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings(name: str) -> None:
    function = pkgutil.resolve_name(f"qualiclip_metric.{name}")
    globs = dict(vars(sys.modules[function.__module__]))
    text = inspect.getdoc(function) or ""
    examples = doctest.DocTestParser().get_doctest(text, globs, name, None, None)
    assert examples.examples
    said: list[str] = []
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    doctest.DocTestRunner(optionflags=options).run(examples, out=said.append)
    assert said == []


RUN = """
import json, sys
for page, code in json.load(sys.stdin).items():
    print("running", page, file=sys.stderr)
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
"""


def test_pages(photos: Path) -> None:
    """All pages in one new process, each in its own namespace; `lite` for published weights."""
    pages = {page: python_blocks((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    assert all(pages.values())
    lite = ROOT / "qualiclip_metric" / "data" / "lite.safetensors"
    model = photos / "runs" / "mine" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.symlink_to(lite)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps({page: "\n".join(blocks) for page, blocks in pages.items()}),
        check=False,
        env={**os.environ, "QUALICLIP_WEIGHTS": "lite", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def python_blocks(text: str) -> list[str]:
    """Blocks that import something and need nothing that is not installed."""
    fenced = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    without = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    indented = re.findall(r"(?:^(?: {4}.*|)\n)+", without, re.M)
    found = []
    for block in [*fenced, *map(textwrap.dedent, indented)]:
        try:
            tree = ast.parse(block)
        except SyntaxError:
            continue
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        modules = {alias.name.split(".")[0] for node in statements for alias in node.names}
        modules |= {
            node.module.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
        }
        if modules and "sys.argv" not in block and all(map(find_spec, modules)):
            found.append(block)
    return found
