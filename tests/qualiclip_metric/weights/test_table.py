"""Names to files: the order of places, the digests, and one message for every failure."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qualiclip_metric import weights
from qualiclip_metric.cli import weights as command
from qualiclip_metric.weights import PUBLISHED, WeightsError

BODY = b"weights of the published model" * 1000
SHA = hashlib.sha256(BODY).hexdigest()
HUB_PATH = "chaofengc/IQA-PyTorch-Weights/resolve/main"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, empty caches, no network."""
    for name in ("QUALICLIP_WEIGHTS", "HF_ENDPOINT", "TORCH_HOME", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(weights, "_REGISTERED", {})
    return tmp_path / "home"


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012
    delay = 0.0

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        time.sleep(self.delay)
        super().do_GET()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP as the hub's mirror."""
    root = tmp_path / "hub"
    (root / HUB_PATH).mkdir(parents=True)
    Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    yield root / HUB_PATH
    server.shutdown()
    thread.join()
    server.server_close()


def put(path: Path, body: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


# names


def test_the_table_tells_what_is_known() -> None:
    assert list(PUBLISHED)[:2] == ["qualiclip", "qualiclip+"]
    openai = PUBLISHED["openai"].sources[0]
    assert openai.sha256 is not None
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
    assert weights.known_as(path) is None


def test_embedded_weights_are_in_the_package() -> None:
    assert weights.resolve("lite").parts[-3:] == ("qualiclip_metric", "data", "lite.safetensors")


def test_the_variable_stands_in_for_qualiclip_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "own.pth")
    monkeypatch.setenv("QUALICLIP_WEIGHTS", str(path))
    assert weights.resolve("qualiclip") == path
    assert weights.known_as("qualiclip") is None
    assert weights.resolve("lite") != path
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "lite")
    assert weights.resolve("qualiclip") == weights.resolve("lite")
    assert weights.known_as("qualiclip") == "lite"
    monkeypatch.setenv("QUALICLIP_WEIGHTS", "/none.pth")
    with pytest.raises(ValueError, match=r"QUALICLIP_WEIGHTS: '/none\.pth' is neither"):
        weights.resolve("qualiclip")


def test_registered_names(tmp_path: Path) -> None:
    path = put(tmp_path / "own.pth")
    weights.register("mine", path)
    assert weights.resolve("mine") == path
    assert weights.registered() == ("mine",)
    assert weights.known_as("mine") == "mine"
    with pytest.raises(ValueError, match="'lite' is taken"):
        weights.register("lite", path)
    with pytest.raises(ValueError, match="found no file at"):
        weights.register("other", tmp_path / "none")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "x/qualiclip"),
        ("win32", "LOCALAPPDATA", "x/qualiclip"),
        ("darwin", "HOME", "x/Library/Caches/qualiclip"),
    ],
)
def test_the_platforms_folder(
    platform: str, variable: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUALICLIP_HOME")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, "x")
    assert weights.home().as_posix() == expected


# places


def test_places_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    cached = put(tmp_path / "hub-cache" / "QualiCLIP.pth")
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


# digests


def test_an_unknown_digest_is_recorded_and_a_changed_file_refused(home: Path) -> None:
    path = put(home / "QualiCLIP.pth")
    assert weights.check("qualiclip") == (path, "first use")
    assert (home / "QualiCLIP.pth.sha256").read_text() == f"{SHA}  QualiCLIP.pth\n"
    assert weights.check("qualiclip") == (path, "recorded")
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


# fetching


def test_fetch_from_the_mirror(home: Path, hub: Path) -> None:
    put(hub / "QualiCLIP+_koniq.pth")
    assert weights.resolve("qualiclip+") == home / "QualiCLIP+_koniq.pth"
    assert Quiet.asked == [f"/{HUB_PATH}/QualiCLIP%2B_koniq.pth"]
    assert weights.check("qualiclip+") == (home / "QualiCLIP+_koniq.pth", "recorded")
    weights.resolve("qualiclip+")
    assert len(Quiet.asked) == 1


def test_openai_is_not_needed_for_qualiclip(home: Path, hub: Path) -> None:
    put(hub / "QualiCLIP.pth")
    weights.resolve("qualiclip")
    assert Quiet.asked == [f"/{HUB_PATH}/QualiCLIP.pth"]


def test_a_fetched_file_must_match_the_record(home: Path, hub: Path) -> None:
    put(hub / "QualiCLIP+_koniq.pth")
    put(home / "QualiCLIP+_koniq.pth.sha256", b"00" * 32 + b"  QualiCLIP+_koniq.pth\n")
    with pytest.raises(WeightsError, match="wrong digest"):
        weights.resolve("qualiclip+")


def test_every_source_is_tried_and_named(home: Path, hub: Path) -> None:
    with pytest.raises(WeightsError) as error:
        weights.resolve("qualiclip")
    message = str(error.value)
    for part in (
        "qualiclip: the published weights (QualiCLIP of the paper, RN50) cannot be had",
        "HTTP 404",
        "github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth: no connection",
        "sha256: not published, recorded on first use",
        f"put it  into {home}",
        "QUALICLIP_WEIGHTS",
        "create('lite')",
    ):
        assert part in message


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline(switch: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(hub / "QualiCLIP.pth")
    monkeypatch.setenv(switch, "yes")
    with pytest.raises(WeightsError, match=f"not tried, {switch} is set"):
        weights.resolve("qualiclip")
    assert Quiet.asked == []


def test_a_folder_that_cannot_be_made(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hub / "QualiCLIP.pth")
    monkeypatch.setenv("QUALICLIP_HOME", str(put(tmp_path / "file") / "home"))
    with pytest.raises(WeightsError, match="cannot be written to"):
        weights.resolve("qualiclip")


def test_two_processes_fetch_once(home: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quiet, "delay", 0.7)  # long enough for the second to find the first at it
    put(hub / "QualiCLIP.pth", BODY * 300)
    code = "from qualiclip_metric import weights; print(weights.resolve('qualiclip'))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = {process.communicate()[0].strip() for process in processes}
    assert told == {str(home / "QualiCLIP.pth")}
    assert [process.returncode for process in processes] == [0, 0]
    assert (home / "QualiCLIP.pth").read_bytes() == BODY * 300
    assert Quiet.asked == [f"/{HUB_PATH}/QualiCLIP.pth"]


# command line


def run(*words: str) -> Any:
    return CliRunner().invoke(command.app, list(words))


def test_list_shows_every_model(home: Path) -> None:
    put(home / "QualiCLIP.pth")
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "lite", *PUBLISHED]
    assert lines[2].endswith(str(home / "QualiCLIP.pth"))
    assert lines[3].endswith("-")
    assert "published" in lines[-1]


def test_verify(home: Path) -> None:
    path = put(home / "QualiCLIP.pth")
    assert run("verify", "qualiclip").stdout == f"qualiclip: ok (first use) {path}\n"
    put(path, b"other")
    bad = run("verify")
    assert bad.exit_code == 1
    assert "qualiclip: BAD" in bad.stdout
    assert run("verify", "openai").exit_code == 1
    assert run("verify", "nope").exit_code == 2


def test_path(home: Path, tmp_path: Path) -> None:
    missing = run("path", "qualiclip")
    assert missing.exit_code == 1
    assert "qualiclip weights fetch qualiclip" in missing.stderr
    path = put(home / "QualiCLIP.pth")
    assert run("path").stdout == f"{path}\n"
    assert run("path", str(path)).stdout == f"{path}\n"
    assert run("path", "nope").exit_code == 2


def test_fetch(home: Path, hub: Path) -> None:
    put(hub / "QualiCLIP.pth")
    assert run("fetch").stdout == f"{home / 'QualiCLIP.pth'}\n"
    failed = run("fetch", "qualiclip+")
    assert failed.exit_code == 1
    assert "HTTP 404" in failed.stderr
    assert failed.stdout == ""
