"""Commands that are started to be ended, and disks that are full or read-only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
SECONDS = 120
"""How long is waited for what must happen."""


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Run `qualiclip` with these arguments on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "qualiclip_metric", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_until(true: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait for something to be true while a command runs."""
    end = time.monotonic() + SECONDS
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"not seen while the command ran: {process.communicate()}")
        time.sleep(0.05)


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A small file system in a folder; the test is skipped where mounting is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
