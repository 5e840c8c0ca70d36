"""A decoder in a process of its own: it can be ended, may crash, and keeps its noise to itself."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qualiclip_metric.decoding import MAX_PIXELS, ImageError, pixels, size
from qualiclip_metric.decoding.convert import RGB, WHITE, as_rgb

_GRACE = 5
"""Seconds after which a decoder ends itself, should nobody be left to end it."""


class DecoderProcess:
    """Decodes images one at a time in another process, which starts at the first image.

    Args:
        timeout: Seconds that one image may take; without limit if None.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def pixels(
        self,
        path: str | Path,
        background: RGB = WHITE,
        *,
        side: int = 0,
        max_pixels: int = MAX_PIXELS,
        allow_truncated: bool = False,
    ) -> NDArray[Any]:
        """Read an image, as `qualiclip_metric.decoding.pixels` does.

        Raises:
            ImageError: As there; when it takes too long; when the decoder crashes.
        """
        reply, array = self._ask(
            path,
            what="pixels",
            background=background,
            side=side,
            max_pixels=max_pixels,
            allow_truncated=allow_truncated,
        )
        assert array is not None, reply
        return array

    def size(self, path: str | Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
        """Read height and width, as `qualiclip_metric.decoding.size` does.

        Raises:
            ImageError: As there; when it takes too long; when the decoder crashes.
        """
        reply, _ = self._ask(path, what="size", max_pixels=max_pixels)
        return reply["size"][0], reply["size"][1]

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not sent any more
                    if stream is not None:
                        stream.close()

    def _ask(self, path: str | Path, **request: Any) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """Send a request; the reply, and the array where there is one."""
        process = self._running()
        expired = threading.Event()

        def end() -> None:
            expired.set()
            process.kill()

        timer = None if self.timeout is None else threading.Timer(self.timeout, end)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            reply, array = _exchange(process, {**request, "path": str(path)}, self.timeout)
        except (OSError, EOFError) as err:
            code = process.wait()
            self.close()
            reason = f"the decoder crashed (exit code {code})"
            if expired.is_set():
                reason = f"not decoded within {self.timeout:g} s"
            raise ImageError(f"{path}: {reason}") from err
        finally:
            if timer is not None:
                timer.cancel()
        if "error" in reply:
            raise ImageError(reply["error"] + (f"; {reply['noise']}" if reply["noise"] else ""))
        return reply, array

    def _running(self) -> "subprocess.Popen[bytes]":
        """The process, started and ready."""
        if self._process is None:
            root = str(Path(__file__).parents[2])
            code = (
                f"import sys; sys.path.insert(0, {root!r}); from {__name__} import serve; serve()"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != b"ready\n":
                self.close()
                raise RuntimeError(f"no decoder process could be started by {sys.executable}")
        return self._process


def _exchange(
    process: "subprocess.Popen[bytes]", request: dict[str, Any], timeout: float | None
) -> tuple[dict[str, Any], NDArray[Any] | None]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**request, "timeout": timeout}).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    reply: dict[str, Any] = json.loads(line)
    if "shape" not in reply:
        return reply, None
    array = np.empty(reply["shape"], reply["dtype"])
    view = array.data.cast("B")
    received = 0
    while received < len(view):
        count = process.stdout.readinto(view[received:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        received += count
    return reply, as_rgb(array)


def serve() -> None:
    """Answer requests on stdin, a JSON object a line, until it ends; what the process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    out = os.fdopen(os.dup(1), "wb")
    with tempfile.TemporaryFile() as noise:
        for stream in (1, 2):  # what libraries print goes to no terminal
            os.dup2(noise.fileno(), stream)
        out.write(b"ready\n")
        out.flush()
        for line in sys.stdin.buffer:
            _answer(json.loads(line), out, noise)


def _answer(request: dict[str, Any], out: IO[bytes], noise: IO[bytes]) -> None:
    path, array = request["path"], None
    noise.seek(0)
    noise.truncate()
    if request["timeout"] is not None and hasattr(signal, "alarm"):
        signal.alarm(round(request["timeout"]) + _GRACE)
    try:
        if request["what"] == "size":
            reply: dict[str, Any] = {"size": size(path, max_pixels=request["max_pixels"])}
        else:
            red, green, blue = request["background"]
            array = pixels(
                path,
                (red, green, blue),
                side=request["side"],
                max_pixels=request["max_pixels"],
                allow_truncated=request["allow_truncated"],
            )
            if not array.strides[2]:  # three times one channel: it is sent once
                array = array[..., :1]
            array = np.ascontiguousarray(array)
            reply = {"shape": array.shape, "dtype": array.dtype.str}
    except (ImageError, MemoryError) as err:
        reply = {"error": str(err) or f"{path}: not enough memory"}
    noise.seek(0)
    said = noise.read().decode(errors="replace").split("\n")[0].strip()
    out.write(json.dumps({**reply, "noise": said[:200]}).encode() + b"\n")
    if array is not None:
        out.write(array.data.cast("B"))
    out.flush()
