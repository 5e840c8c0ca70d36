"""The public names, and what importing them loads."""

import subprocess
import sys

import pytest

import qualiclip_metric


def test_all_is_what_can_be_had() -> None:
    names = qualiclip_metric.__all__
    assert sorted(names) == dir(qualiclip_metric)
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(qualiclip_metric, name) is not None


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        qualiclip_metric.nonsense  # noqa: B018


def _loaded(code: str) -> set[str]:
    code = f"{code}\nimport sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_imports_next_to_nothing() -> None:
    loaded = _loaded("import qualiclip_metric")
    assert not loaded & {"torch", "numpy", "PIL", "pyiqa", "pandas", "matplotlib", "timm", "typer"}


def test_the_public_names_need_no_pyiqa() -> None:
    loaded = _loaded("from qualiclip_metric import QualiCLIP, create, read, antonym_score, PROMPTS")
    assert "torch" in loaded
    assert not loaded & {"pyiqa", "pandas", "matplotlib", "typer"}
