"""Names of models: which there are, and what stands in for them."""

from pathlib import Path

import pytest

from qualiclip_metric import checkpoints

pytestmark = pytest.mark.usefixtures("home")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_no_name_and_no_file() -> None:
    with pytest.raises(ValueError, match="nope"):
        checkpoints.resolve("nope")


def test_a_path_wins_over_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    path = put(tmp_path / "own.pth")
    assert checkpoints.resolve(path) == checkpoints.resolve(str(path)) == path
    assert checkpoints.registered_name(path) is None


def test_the_variable_stands_in_for_qualiclip_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "own.pth")
    monkeypatch.setenv("QUALICLIP_WEIGHTS", str(path))
    assert checkpoints.resolve("qualiclip") == path
    assert checkpoints.registered_name("qualiclip") is None
    assert checkpoints.resolve("lite") != path
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    assert checkpoints.resolve("qualiclip") == checkpoints.resolve("lite")
    assert checkpoints.registered_name("qualiclip") == "lite"
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "/none.pth")
    with pytest.raises(ValueError, match="QUALICLIP_WEIGHTS"):
        checkpoints.resolve("qualiclip")


def test_registered_names(tmp_path: Path) -> None:
    path = put(tmp_path / "own.pth")
    checkpoints.register("mine", path)
    assert checkpoints.resolve("mine") == path
    assert checkpoints.registered() == ("mine",)
    assert checkpoints.registered_name("mine") == "mine"
    with pytest.raises(ValueError, match="taken"):
        checkpoints.register("lite", path)
    with pytest.raises(ValueError, match="no file"):
        checkpoints.register("other", tmp_path / "none")


def test_the_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoints.cache_folder() == home
    monkeypatch.delenv("QUALICLIP_HOME")
    assert checkpoints.cache_folder().name == "qualiclip"
    assert tmp_path in checkpoints.cache_folder().parents
