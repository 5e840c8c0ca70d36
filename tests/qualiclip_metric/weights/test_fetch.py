"""Downloads from a hub and from a plain address, whole, cut, wrong and refused."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pooch
import pytest

from qualiclip_metric import weights
from qualiclip_metric.weights import Published, Source, WeightsError, download
from qualiclip_metric.weights.download import DownloadError

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub

BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()
REPO = "chaofengc/IQA-PyTorch-Weights"
PLUS = f"{REPO}/QualiCLIP+_koniq.pth"


def test_from_the_hub_into_its_cache(home: Path, hub: "Hub", tmp_path: Path) -> None:
    hub.files[PLUS] = BODY
    path = weights.resolve("qualiclip+")
    assert path.read_bytes() == BODY
    assert tmp_path / "hub-cache" in path.parents
    assert hub.fetched == [f"/{REPO}/resolve/main/QualiCLIP%2B_koniq.pth"]
    assert weights.locate("qualiclip+") == (path, "recorded")
    assert weights.resolve("qualiclip+") == path
    assert len(hub.fetched) == 1


def test_a_cut_connection_is_resumed(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    hub.files[PLUS], hub.cut_after = BODY, [1000]
    assert weights.resolve("qualiclip+").read_bytes() == BODY
    assert [asked[2] for asked in hub.asked if asked[0] == "GET"] == [None, "bytes=1000-"]


@pytest.mark.usefixtures("home")
def test_a_file_that_is_not_what_the_hub_announces(hub: "Hub", tmp_path: Path) -> None:
    hub.files[PLUS], hub.etags[PLUS] = BODY, "ab" * 32
    with pytest.raises(WeightsError, match=f"wrong digest: sha256 is {SHA}, expected abab"):
        weights.resolve("qualiclip+")
    assert not [
        p for p in (tmp_path / "hub-cache").rglob("*") if p.is_file() and p.stat().st_size > 1000
    ]
    del hub.etags[PLUS]
    assert weights.resolve("qualiclip+").read_bytes() == BODY


def test_a_fetched_file_must_match_the_record(home: Path, hub: "Hub") -> None:
    hub.files[PLUS] = BODY
    home.mkdir()
    (home / "QualiCLIP+_koniq.pth.sha256").write_text("00" * 32 + "  QualiCLIP+_koniq.pth\n")
    with pytest.raises(WeightsError, match="wrong digest"):
        weights.resolve("qualiclip+")


def test_every_source_is_tried_and_named(
    home: Path, hub: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    with pytest.raises(WeightsError) as error:
        weights.resolve("qualiclip")
    message = str(error.value)
    for part in (
        "qualiclip: the published weights (QualiCLIP of the paper, RN50) cannot be had",
        f"tried   {hub.url}/{REPO}/resolve/main/QualiCLIP.pth: RemoteEntryNotFoundError: 404",
        "github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth: ConnectionError",
        "sha256: not published, recorded on first use",
        f"put it  into {home} under that name",
        "QUALICLIP_WEIGHTS",
        "HF_ENDPOINT",
        "create('lite')",
    ):
        assert part in message


def test_offline(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[f"{REPO}/QualiCLIP.pth"] = BODY
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="not tried, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is"):
        weights.resolve("qualiclip")
    assert hub.asked == []


def test_a_folder_that_cannot_be_made(
    tmp_path: Path, hub: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(WeightsError, match="cannot be written to"):
        weights.resolve("qualiclip")


def test_two_processes_fetch_once(hub: "Hub") -> None:
    hub.delay = 0.7  # long enough for the second to find the first at it
    hub.files[f"{REPO}/QualiCLIP.pth"] = BODY
    code = "from qualiclip_metric import weights; print(weights.resolve('qualiclip'))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == BODY
    assert len(hub.fetched) == 1


# a plain address


@pytest.fixture
def plain(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> "Hub":
    """The same server as a plain one: its file is the published model `plain`."""
    hub.files["files/plain.pth"] = BODY
    source = Source("plain.pth", url=f"{hub.url}/files/resolve/main/plain.pth", sha256=SHA)
    entry = Published((source,), "CC0", "a file with an address")
    monkeypatch.setitem(weights.PUBLISHED, "plain", entry)
    pooch.get_logger().setLevel("ERROR")
    return hub


def test_from_a_plain_address(home: Path, plain: "Hub") -> None:
    assert weights.resolve("plain") == home / "plain.pth"
    assert (home / "plain.pth").read_bytes() == BODY
    assert weights.locate("plain") == (home / "plain.pth", "published")
    weights.resolve("plain")
    assert len(plain.fetched) == 1


def test_a_busy_server_is_asked_again(plain: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    plain.statuses = [503, 429]
    assert weights.resolve("plain").read_bytes() == BODY


@pytest.mark.parametrize("fault", ["wrong", "cut"])
def test_a_wrong_file_is_refused_and_not_kept(
    fault: str, home: Path, plain: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    if fault == "wrong":
        plain.files["files/plain.pth"] = BODY[::-1]
    plain.cut_after = [1000] * 3 if fault == "cut" else []
    with pytest.raises(WeightsError, match=r"SHA256 hash .* does not match|ChunkedEncodingError"):
        weights.resolve("plain")
    assert [file.name for file in home.iterdir() if file.suffix != ".lock"] == []


def test_nobody_there(home: Path, plain: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    source = Source("file.pth", url="http://127.0.0.1:9/file.pth")
    with pytest.raises(DownloadError, match="ConnectionError"):
        download.download(source, home)
    with pytest.raises(DownloadError, match="no address is known"):
        download.download(Source("file.pth", origin="a drawer"), home)
