"""A weights folder of its own for tests that ask for one, and a hub on this machine."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

COMMIT = "c0ffee" + "0" * 34


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, empty caches, no network, no registered names."""
    for name in ("QUALICLIP_WEIGHTS", "HF_ENDPOINT", "TORCH_HOME", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QUALICLIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setenv("no_proxy", "*")
    # what the library read from the environment when it was imported
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("qualiclip_metric.checkpoints.model_names._REGISTERED", {})
    return tmp_path / "home"


@dataclass
class Hub:
    """A hub's files and manners, and what it was asked for.

    Args:
        url: Its address.
        files: "repository/file" -> content; any revision has the same files.
        etags: "repository/file" -> digest to announce in place of the right one.
        statuses: HTTP statuses to answer the next requests with.
        cut_after: Bytes after which the next transfers break.
        delay: Seconds before a file is sent.
        hold: Where it is there, a transfer stops after 1000 bytes until it is set.
        held: Set while a transfer stands still.
        asked: (method, path, Range header) of each request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    delay: float = 0.0
    hold: threading.Event | None = None
    held: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def fetched(self) -> list[str]:
        """Paths of the files that were sent, in order."""
        return [path for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            time.sleep(hub.delay)
            self._answer()

        def do_POST(self) -> None:
            """The hub's calls that a push makes: repository, plan of the upload, commit."""
            hub.asked.append(("POST", self.path, None))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if hub.statuses:
                self._send_json(hub.statuses.pop(0), {"error": "refused"})
            elif self.path == "/api/repos/create":
                wanted = json.loads(body)
                name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
                self._send_json(200, {"url": f"{hub.url}/{name}"})
            elif "/preupload/" in self.path:
                plan = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                self._send_json(200, {"files": plan})
            elif "/commit/" in self.path:
                repo = self.path.removeprefix("/api/models/").partition("/commit/")[0]
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        file = entry["value"]
                        hub.files[f"{repo}/{file['path']}"] = base64.b64decode(file["content"])
                url = f"{hub.url}/{repo}/commit/{COMMIT}"
                self._send_json(200, {"success": True, "commitOid": COMMIT, "commitUrl": url})
            else:
                self._send_json(200, {"errors": [], "warnings": []})

        def _send_json(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> None:
            hub.asked.append((self.command, self.path, self.headers.get("Range")))
            repo, _, name = self.path.lstrip("/").replace("%2B", "+").partition("/resolve/")
            key = f"{repo}/{name.partition('/')[2]}"
            if hub.statuses or key not in hub.files:
                self.send_response(hub.statuses.pop(0) if hub.statuses else 404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = hub.files[key]
            etag = hub.etags.get(key, hashlib.sha256(body).hexdigest())
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                end = start + hub.cut_after.pop(0) if hub.cut_after else len(body)
                if hub.hold is not None:
                    self.wfile.write(body[start : start + 1000])
                    start += 1000
                    hub.held.set()
                    hub.hold.wait()
                with suppress(ConnectionError):  # who asked may be gone
                    self.wfile.write(body[start:end])

    return Handler


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, named as the mirror; the network is on."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    yield hub
    close_session()
    server.shutdown()
    thread.join()
    server.server_close()
