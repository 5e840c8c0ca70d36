"""One file over HTTP: resumed, checked, put in place whole. Knows no models and no folders.

Proxies come from the environment (`urllib`). What arrived before a cut stays beside the target as
`NAME.part` with a note of where it came from; it is continued only if the server says that its
file is still the same (`If-Range`), and started over otherwise.
"""

import errno
import hashlib
import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError

from qualiclip_metric._version import __version__

Report = Callable[[int, int | None], None]
"""Called with the bytes so far, and in all if known."""

BLOCK = 1 << 20
TIMEOUT = 30.0
ATTEMPTS = 5
HEX_DIGITS = 64


class DownloadError(Exception):
    """Why a file did not come, in words for the user."""


class _Cut(Exception):
    """The connection ended early or failed in a way that another attempt may mend."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    report: Report | None = None,
    pause: float = 1.0,
) -> str:
    """Fetch a file into place.

    Args:
        url: Where from.
        target: Where to; it appears whole and checked, or not at all.
        sha256: What the file must hash to. Where it is None, a digest that the server announces
            (the Hugging Face hub does) is checked instead.
        report: Told of the progress.
        pause: Seconds before the second attempt, doubled before each further one.

    Returns:
        SHA-256 of the file.

    Raises:
        DownloadError: When it cannot be had, or is not what it should be.
    """
    part = target.with_name(target.name + ".part")
    with _explained(part):
        announced = _persist(url, part, report or _silent, pause)
        digest = sha256_of(part)
        expected = sha256 or announced
        if expected and digest != expected:
            _forget(part)
            raise DownloadError(f"wrong digest: sha256 is {digest}, expected {expected}")
        part.replace(target)
        _note(part).unlink(missing_ok=True)
    return digest


def _persist(url: str, part: Path, report: Report, pause: float) -> str | None:
    """Attempt until the whole file is there."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _attempt(url, part, report)
        except _Cut as cut:
            if attempt == ATTEMPTS:
                raise DownloadError(f"{cut} ({ATTEMPTS} attempts; fetch again to resume)") from cut
            time.sleep(pause * 2 ** (attempt - 1))
    raise AssertionError


def _attempt(url: str, part: Path, report: Report) -> str | None:
    """Receive what is missing; the digest that the server announces, if it does."""
    seen = _Announcements()
    try:
        with urllib.request.build_opener(seen).open(_request(url, part), timeout=TIMEOUT) as reply:
            seen.listen(reply.headers)
            _receive(url, reply, part, report)
    except HTTPError as err:
        if err.code == 416:  # what is here is not a beginning of what is there
            _forget(part)
            raise _Cut("the server could not resume") from err
        kind = _Cut if err.code >= 500 or err.code == 429 else DownloadError
        raise kind(f"HTTP {err.code} {err.reason}") from err
    except URLError as err:
        raise DownloadError(f"no connection ({err.reason})") from err
    except (ConnectionError, TimeoutError, HTTPException) as err:
        raise _Cut(f"connection lost ({err or type(err).__name__})") from err
    return seen.sha256


def _request(url: str, part: Path) -> urllib.request.Request:
    headers = {"User-Agent": f"qualiclip-metric/{__version__}"}
    note = json.loads(_note(part).read_text()) if _note(part).is_file() else {}
    if part.is_file() and note.get("url") == url and note.get("etag"):
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": note["etag"]}
    return urllib.request.Request(url, headers=headers)


def _receive(url: str, reply: Any, part: Path, report: Report) -> None:
    done = part.stat().st_size if reply.status == 206 else 0
    length = reply.headers.get("Content-Length")
    total = done + int(length) if length else None
    if total is not None and shutil.disk_usage(part.parent).free < total - done:
        raise OSError(errno.ENOSPC, f"{total - done} bytes needed")
    etag = reply.headers.get("ETag", "")
    _note(part).write_text(json.dumps({"url": url, "etag": "" if etag[:2] == "W/" else etag}))
    with part.open("ab" if done else "wb") as file:
        report(done, total)
        while block := reply.read(BLOCK):
            file.write(block)
            done += len(block)
            report(done, total)
    if total is not None and done != total:
        raise _Cut(f"truncated: {done} of {total} bytes came")


class _Announcements(urllib.request.HTTPRedirectHandler):
    """Follows redirects and remembers the digest that a hub announces on the way."""

    sha256: str | None = None

    def listen(self, headers: HTTPMessage) -> None:
        digest = (headers.get("X-Linked-ETag") or "").strip('"').lower()
        if len(digest) == HEX_DIGITS and set(digest) <= set("0123456789abcdef"):
            self.sha256 = digest

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.listen(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _explained(part: Path) -> Iterator[None]:
    """Turn what the disk says into words for the user."""
    try:
        yield
    except OSError as err:
        reasons = {
            errno.ENOSPC: "disk full",
            errno.EDQUOT: "disk quota exceeded",
            errno.EACCES: "the folder cannot be written to",
            errno.EPERM: "the folder cannot be written to",
            errno.EROFS: "the folder is read-only",
        }
        reason = reasons.get(err.errno or 0, "cannot be written")
        raise DownloadError(f"{reason}: {part.parent} ({err.strerror or err})") from err


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _silent(done: int, total: int | None) -> None:
    """Nobody wants to know."""
