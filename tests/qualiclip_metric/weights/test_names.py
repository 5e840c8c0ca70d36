"""Names of models: which there are, and what stands in for them."""

import hashlib
from pathlib import Path

import pytest

from qualiclip_metric import weights
from qualiclip_metric.weights import PUBLISHED, WeightsError

pytestmark = pytest.mark.usefixtures("home")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_the_table_tells_what_is_known() -> None:
    assert list(PUBLISHED)[:2] == ["qualiclip", "qualiclip+"]
    openai = PUBLISHED["openai"].sources[0]
    assert openai.sha256 is not None
    assert openai.url is not None
    assert openai.sha256 in openai.url
    for name in ("qualiclip", "qualiclip+"):
        assert [source.sha256 for source in PUBLISHED[name].sources if source.sha256] == []
    assert PUBLISHED["qualiclip"].licence == "CC BY-NC 4.0"


def test_no_name_and_no_file() -> None:
    with pytest.raises(ValueError, match=r"model: 'nope' is neither .*\(lite, qualiclip, .*\)"):
        weights.resolve("nope")


def test_a_path_wins_over_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    path = put(tmp_path / "own.pth")
    assert weights.resolve(path) == weights.resolve(str(path)) == path
    assert weights.registered_name(path) is None


def test_embedded_weights_are_in_the_package() -> None:
    assert weights.resolve("lite").parts[-3:] == ("qualiclip_metric", "data", "lite.safetensors")


def test_the_variable_stands_in_for_qualiclip_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "own.pth")
    monkeypatch.setenv("QUALICLIP_WEIGHTS", str(path))
    assert weights.resolve("qualiclip") == path
    assert weights.registered_name("qualiclip") is None
    assert weights.resolve("lite") != path
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    assert weights.resolve("qualiclip") == weights.resolve("lite")
    assert weights.registered_name("qualiclip") == "lite"
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "/none.pth")
    with pytest.raises(ValueError, match=r"QUALICLIP_WEIGHTS: '/none\.pth' is neither"):
        weights.resolve("qualiclip")


def test_registered_names(tmp_path: Path) -> None:
    path = put(tmp_path / "own.pth")
    weights.register("mine", path)
    assert weights.resolve("mine") == path
    assert weights.registered() == ("mine",)
    assert weights.registered_name("mine") == "mine"
    with pytest.raises(ValueError, match="'lite' is taken"):
        weights.register("lite", path)
    with pytest.raises(ValueError, match="found no file at"):
        weights.register("other", tmp_path / "none")


def test_the_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.home() == home
    monkeypatch.delenv("QUALICLIP_HOME")
    assert weights.home().name == "qualiclip"
    assert tmp_path in weights.home().parents


def test_an_earlier_lite_is_used_from_the_folder_only(home: Path, tmp_path: Path) -> None:
    """No address is known for it: the message names the release and the digest."""
    source = PUBLISHED["lite@0.1"].sources[0]
    with pytest.raises(WeightsError) as error:
        weights.resolve("lite@0.1")
    for part in (
        "no address is known",
        "release 0.1.0",
        str(source.sha256),
        str(home),
        source.file,
    ):
        assert part in str(error.value)
    assert "HF_ENDPOINT" not in str(error.value)
    home.mkdir(exist_ok=True)
    (home / source.file).write_bytes(b"another file")
    with pytest.raises(WeightsError, match=f"not the publisher's, {source.sha256}"):
        weights.resolve("lite@0.1")
    embedded = weights.resolve("lite").read_bytes()
    if hashlib.sha256(embedded).hexdigest() == source.sha256:
        (home / source.file).write_bytes(embedded)
        assert weights.resolve("lite@0.1") == home / source.file
