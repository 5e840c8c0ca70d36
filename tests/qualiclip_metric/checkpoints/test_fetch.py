"""Published files: where they are looked for, how they are downloaded and verified."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import pooch
import pytest

from qualiclip_metric import checkpoints
from qualiclip_metric.checkpoints import LocalFile, Published, WeightsError, WeightsSource, download

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub

pytestmark = pytest.mark.usefixtures("home")
BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()
REPO = "chaofengc/IQA-PyTorch-Weights"
PLUS = f"{REPO}/QualiCLIP+_koniq.pth"


def put(path: Path, body: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


# --- on this machine -----------------------------------------------------------------------------


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
        assert checkpoints.resolve("qualiclip") == expected
        found.clear() if expected == cached else expected.unlink()


def test_a_file_whose_digest_is_not_known_is_not_called_verified(home: Path) -> None:
    path = put(home / "QualiCLIP.pth")
    assert checkpoints.locate("qualiclip") == LocalFile(path, pinned=False)
    assert [file.name for file in home.iterdir()] == ["QualiCLIP.pth"]  # nothing is recorded


def test_a_pinned_file_must_have_its_digest(home: Path) -> None:
    put(home / "RN50.pt")
    with pytest.raises(WeightsError, match="afeb0e10"):
        checkpoints.resolve("openai")


# --- from the hub --------------------------------------------------------------------------------


def test_from_the_hub_into_its_cache(hub: "Hub", tmp_path: Path) -> None:
    hub.files[PLUS] = BODY
    path = checkpoints.resolve("qualiclip+")
    assert path.read_bytes() == BODY
    assert tmp_path / "hub-cache" in path.parents
    assert hub.fetched == [f"/{REPO}/resolve/main/QualiCLIP%2B_koniq.pth"]
    assert checkpoints.resolve("qualiclip+") == path
    assert len(hub.fetched) == 1


def test_a_cut_connection_is_resumed(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    hub.files[PLUS], hub.cut_after = BODY, [1000]
    assert checkpoints.resolve("qualiclip+").read_bytes() == BODY
    assert [asked[2] for asked in hub.asked if asked[0] == "GET"] == [None, "bytes=1000-"]


def test_the_digest_that_the_hub_announced_is_compared_at_every_use(hub: "Hub") -> None:
    hub.files[PLUS], hub.etags[PLUS] = BODY, "ab" * 32
    with pytest.raises(WeightsError, match=f"wrong digest: sha256 is {SHA}, .* abab"):
        checkpoints.resolve("qualiclip+")
    hub.files[f"{REPO}/QualiCLIP.pth"] = BODY
    path = checkpoints.resolve("qualiclip").resolve()
    path.write_bytes(BODY + b"!")
    with pytest.raises(WeightsError, match="announced"):
        checkpoints.resolve("qualiclip")


def test_every_source_is_tried_and_named(
    home: Path, hub: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    with pytest.raises(WeightsError) as error:
        checkpoints.resolve("qualiclip")
    message = str(error.value)
    for part in (
        f"tried   {hub.url}/{REPO}/resolve/main/QualiCLIP.pth: RemoteEntryNotFoundError: 404",
        "github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth: ConnectionError",
        "sha256: not known",
        f"put it  into {home} under that name",
        "QUALICLIP_WEIGHTS",
        "HF_ENDPOINT",
        "create('lite')",
    ):
        assert part in message


def test_offline(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[f"{REPO}/QualiCLIP.pth"] = BODY
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"(?s)OfflineMode.*not tried"):
        checkpoints.resolve("qualiclip")
    assert hub.asked == []


def test_two_processes_fetch_once(hub: "Hub") -> None:
    hub.delay = 0.7  # long enough for the second to find the first one downloading
    hub.files[f"{REPO}/QualiCLIP.pth"] = BODY
    code = "from qualiclip_metric import checkpoints; print(checkpoints.resolve('qualiclip'))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == BODY
    assert len(hub.fetched) == 1


# --- from a URL ----------------------------------------------------------------------------------


@pytest.fixture
def plain(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> "Hub":
    """The same server, whose file is the pinned model `plain`."""
    hub.files["files/plain.pth"] = BODY
    source = WeightsSource("plain.pth", url=f"{hub.url}/files/resolve/main/plain.pth", sha256=SHA)
    entry = Published((source,), "CC0", "a file with a URL")
    monkeypatch.setitem(checkpoints.PUBLISHED, "plain", entry)
    pooch.get_logger().setLevel("ERROR")
    return hub


def test_from_a_url(home: Path, plain: "Hub") -> None:
    assert checkpoints.resolve("plain") == home / "plain.pth"
    assert (home / "plain.pth").read_bytes() == BODY
    assert checkpoints.locate("plain") == LocalFile(home / "plain.pth", pinned=True)
    checkpoints.resolve("plain")
    assert len(plain.fetched) == 1


def test_a_busy_server_is_asked_again(plain: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    plain.statuses = [503, 429]
    assert checkpoints.resolve("plain").read_bytes() == BODY


@pytest.mark.parametrize("fault", ["wrong", "cut"])
def test_a_wrong_file_is_refused_and_not_kept(
    fault: str, home: Path, plain: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    if fault == "wrong":
        plain.files["files/plain.pth"] = BODY[::-1]
    plain.cut_after = [1000] * 3 if fault == "cut" else []
    with pytest.raises(WeightsError, match=r"hash|ChunkedEncodingError"):
        checkpoints.resolve("plain")
    assert list(home.iterdir()) == []


def test_a_folder_that_cannot_be_made(
    tmp_path: Path, plain: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(WeightsError, match="Not a directory"):
        checkpoints.resolve("plain")
