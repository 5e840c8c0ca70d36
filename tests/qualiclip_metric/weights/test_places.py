"""Where published files may lie already, and the digests that each use checks."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest

from qualiclip_metric import weights
from qualiclip_metric.weights import LocalFile, WeightsError

pytestmark = pytest.mark.usefixtures("home")
BODY = b"weights of the published model" * 1000
SHA = hashlib.sha256(BODY).hexdigest()


def put(path: Path, body: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_places_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = put(tmp_path / "elsewhere" / "QualiCLIP.pth")
    found = {"QualiCLIP.pth": str(cached)}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repo, file, revision: found.get(file)
    )
    torch_hub = put(tmp_path / "cache" / "torch" / "hub" / "checkpoints" / "qualiclip.pth")
    pyiqa = put(tmp_path / "cache" / "torch" / "hub" / "pyiqa" / "QualiCLIP.pth")
    own = put(home / "QualiCLIP.pth")
    for expected in (own, cached, pyiqa, torch_hub):
        assert weights.resolve("qualiclip") == expected
        found.clear() if expected == cached else expected.unlink()


def test_an_unknown_digest_is_recorded_and_a_changed_file_refused(home: Path) -> None:
    path = put(home / "QualiCLIP.pth")
    assert weights.locate("qualiclip") == LocalFile(path, "first use")
    assert (home / "QualiCLIP.pth.sha256").read_text() == f"{SHA}  QualiCLIP.pth\n"
    assert weights.locate("qualiclip") == LocalFile(path, "recorded")
    put(path, BODY + b"!")
    with pytest.raises(WeightsError, match=r"not the one on record in .*\.sha256, .*delete"):
        weights.resolve("qualiclip")


def test_a_published_digest_is_the_only_one_that_counts(home: Path) -> None:
    put(home / "RN50.pt")
    with pytest.raises(WeightsError, match="not the publisher's, afeb0e10"):
        weights.resolve("openai")


def test_a_folder_that_cannot_hold_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache" / "torch" / "hub" / "pyiqa" / "QualiCLIP.pth")
    monkeypatch.setenv("QUALICLIP_HOME", str(put(tmp_path / "file") / "home"))
    with pytest.warns(UserWarning, match="could not be recorded"):
        weights.resolve("qualiclip")
