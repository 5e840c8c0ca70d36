"""`qualiclip weights`: list, fetch, verify, path."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from qualiclip_metric.checkpoints import PUBLISHED
from qualiclip_metric.cli import weights as command

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub

pytestmark = pytest.mark.usefixtures("home")


def put(path: Path, body: bytes = b"weights" * 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def run(*words: str) -> Any:
    return CliRunner().invoke(command.app, list(words))


def test_list_shows_every_model(home: Path) -> None:
    put(home / "QualiCLIP.pth")
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "lite", *PUBLISHED]
    assert lines[2].endswith(str(home / "QualiCLIP.pth"))
    assert lines[3].endswith("-")
    assert "pinned" in lines[-1]


def test_verify(home: Path) -> None:
    put(home / "QualiCLIP.pth")
    unknown = run("verify", "qualiclip")
    assert unknown.exit_code == 0
    assert "digest not known" in unknown.stdout
    assert run("verify", "openai").exit_code == 1
    put(home / "RN50.pt")
    bad = run("verify")
    assert bad.exit_code == 1
    assert "openai: BAD" in bad.stdout
    assert run("verify", "nope").exit_code == 2


def test_path(home: Path) -> None:
    missing = run("path", "qualiclip")
    assert missing.exit_code == 1
    assert "qualiclip weights fetch qualiclip" in missing.stderr
    path = put(home / "QualiCLIP.pth")
    assert run("path").stdout == f"{path}\n"
    assert run("path", str(path)).stdout == f"{path}\n"
    assert run("path", "nope").exit_code == 2


def test_fetch(hub: "Hub") -> None:
    hub.files["chaofengc/IQA-PyTorch-Weights/QualiCLIP.pth"] = b"weights" * 1000
    path = Path(run("fetch").stdout.strip())
    assert path.read_bytes() == b"weights" * 1000
    failed = run("fetch", "qualiclip+")
    assert failed.exit_code == 1
    assert "404" in failed.stderr
    assert failed.stdout == ""
