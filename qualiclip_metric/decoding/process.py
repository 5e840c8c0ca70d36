"""A decoder in a process of its own: it can be ended, may crash, and its messages are caught.

`multiprocessing` and libraries on top of it (pebble) import the main script in each process, which
fails for a script without `if __name__ == "__main__"`; this process imports `decoding` alone.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from qualiclip_metric import decoding
from qualiclip_metric.decoding import ImageError, Source
from qualiclip_metric.decoding.convert import as_rgb

GRACE_SECONDS = 5
"""A decoder whose parent was killed ends itself so long after the time limit."""


class DecoderProcess:
    """Runs functions of `decoding` one at a time in another process, started at the first call.

    A call may take `timeout` seconds; None for no limit.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: str, image: Source, **options: Any) -> Any:
        """Call `decoding.pixels` or `decoding.size`; a crash or a late answer is an ImageError."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        timer, alarm = threading.Timer(self.timeout or 0, expire), 0
        timer.daemon = True
        try:
            if self.timeout is not None:
                timer.start()
                alarm = round(self.timeout) + GRACE_SECONDS
            pickle.dump((function, image, options, alarm), process.stdin)
            process.stdin.flush()
            result = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as err:
            code = process.wait()
            self.close()
            reason = f"the decoder crashed (exit code {code})"
            if expired.is_set():
                reason = f"not decoded within {self.timeout:g} s"
            raise ImageError(f"{image}: {reason}") from err
        finally:
            timer.cancel()
        if isinstance(result, ImageError):
            raise result
        return as_rgb(result) if isinstance(result, np.ndarray) else result

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # unsent requests
                    if stream is not None:
                        stream.close()

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


def serve() -> None:
    """Answer calls on stdin until it ends; the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    set_alarm = getattr(signal, "alarm", lambda _seconds: None)  # POSIX
    out = os.fdopen(os.dup(1), "wb")
    with tempfile.TemporaryFile() as noise:
        for stream in (1, 2):  # messages of libraries
            os.dup2(noise.fileno(), stream)
        out.write(b"ready\n")
        out.flush()
        while True:
            try:
                function, image, options, alarm = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            noise.seek(0)
            noise.truncate()
            set_alarm(alarm)
            result = _answer(function, image, options, noise)
            set_alarm(0)
            pickle.dump(result, out, protocol=pickle.HIGHEST_PROTOCOL)  # arrays are not copied
            out.flush()


def _answer(function: str, image: Source, options: dict[str, Any], noise: IO[bytes]) -> Any:
    try:
        result = getattr(decoding, function)(image, **options)
    except (ImageError, MemoryError) as err:
        noise.seek(0)
        said = noise.read().decode(errors="replace").split("\n")[0].strip()[:200]
        text = str(err) or f"{image}: not enough memory"
        return ImageError(f"{text}; {said}" if said else text)
    if isinstance(result, np.ndarray):
        if not result.strides[2]:  # one channel three times: sent once
            result = result[..., :1]
        result = np.ascontiguousarray(result)
    return result
