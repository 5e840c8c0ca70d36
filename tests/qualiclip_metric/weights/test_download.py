"""One file over HTTP, against a local server that behaves badly on request."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qualiclip_metric.weights import download as _download
from qualiclip_metric.weights.download import DownloadError, download

BODY = bytes(range(256)) * 1200
SHA = hashlib.sha256(BODY).hexdigest()


@dataclass
class Hub:
    """A server's files and manners, and what it was asked for."""

    url: str = ""
    body: bytes = BODY
    etag: str = '"v1"'
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            hub.asked.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            if hub.redirect and self.path != "/cdn":
                self.send_response(302)
                for name, value in {"Location": "/cdn", **hub.redirect}.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            if hub.statuses:
                self.send_error(hub.statuses.pop(0))
                return
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            if self.headers.get("If-Range", hub.etag) != hub.etag:
                start = 0
            if start > len(hub.body):
                self.send_error(416)
                return
            rest = hub.body[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.send_header("ETag", hub.etag)
            self.end_headers()
            self.wfile.write(rest[: hub.cut_after.pop(0)] if hub.cut_after else rest)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}/file.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.pth"


def get(hub: Hub, target: Path, **options: Any) -> str:
    return download(hub.url, target, pause=0.0, **options)


def test_whole_and_alone(hub: Hub, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    assert get(hub, target, sha256=SHA, report=lambda *now: told.append(now)) == SHA
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))


def test_a_cut_connection_is_resumed(hub: Hub, target: Path) -> None:
    hub.cut_after = [1000, 50_000]
    assert get(hub, target) == SHA
    assert [asked.get("range") for asked in hub.asked] == [None, "bytes=1000-", "bytes=51000-"]


def test_a_later_process_resumes(hub: Hub, target: Path) -> None:
    hub.cut_after = [1000] + [0] * (_download.ATTEMPTS - 1)
    with pytest.raises(DownloadError, match=r"truncated: 1000 of 307200 .* fetch again to resume"):
        get(hub, target)
    assert not target.exists()
    assert get(hub, target) == SHA
    assert hub.asked[-1]["range"] == "bytes=1000-"


def test_a_file_that_changed_meanwhile_is_started_over(hub: Hub, target: Path) -> None:
    hub.cut_after = [1000] * _download.ATTEMPTS
    with pytest.raises(DownloadError):
        get(hub, target)
    hub.body, hub.etag = BODY[::-1], '"v2"'
    get(hub, target)
    assert target.read_bytes() == BODY[::-1]


def test_without_an_etag_nothing_is_resumed(hub: Hub, target: Path) -> None:
    hub.etag, hub.cut_after = 'W/"weak"', [1000]
    assert get(hub, target) == SHA
    assert "range" not in hub.asked[-1]


def test_a_part_that_is_too_long_is_dropped(hub: Hub, target: Path) -> None:
    part = target.with_name("file.pth.part")
    part.write_bytes(BODY + b"more")
    note = {"url": hub.url, "etag": hub.etag}
    target.with_name("file.pth.part.json").write_text(json.dumps(note))
    assert get(hub, target) == SHA


def test_a_wrong_digest_is_refused_and_not_kept(hub: Hub, target: Path) -> None:
    with pytest.raises(DownloadError, match=f"wrong digest: sha256 is {SHA}, expected 00"):
        get(hub, target, sha256="00" * 32)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("announced", [SHA, "ab" * 32])
def test_the_digest_that_a_hub_announces_is_checked(announced: str, hub: Hub, target: Path) -> None:
    hub.redirect = {"X-Linked-ETag": f'"{announced}"'}
    if announced == SHA:
        assert get(hub, target) == SHA
    else:
        with pytest.raises(DownloadError, match="wrong digest"):
            get(hub, target)


@pytest.mark.parametrize(
    ("statuses", "message"),
    [([404], "HTTP 404"), ([403], "HTTP 403"), ([503] * 9, "HTTP 503 .*5 attempts")],
)
def test_what_the_server_refuses(statuses: list[int], message: str, hub: Hub, target: Path) -> None:
    hub.statuses = statuses
    with pytest.raises(DownloadError, match=message):
        get(hub, target)
    assert list(target.parent.iterdir()) == []


def test_a_busy_server_is_asked_again(hub: Hub, target: Path) -> None:
    hub.statuses = [503, 429]
    assert get(hub, target) == SHA


def test_nobody_there(target: Path) -> None:
    with pytest.raises(DownloadError, match="no connection"):
        download("http://127.0.0.1:9/file.pth", target, pause=0.0)


def test_a_full_disk(hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(target.parent)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match=r"disk full: .*307200 bytes needed"):
        get(hub, target)


def test_a_folder_that_is_none(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be written"):
        get(hub, tmp_path / "missing" / "file.pth")
