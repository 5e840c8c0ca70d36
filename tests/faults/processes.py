"""Commands in processes of their own, and waiting for conditions instead of a while."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 120.0
"""Seconds after which a condition that does not come fails its test."""


def start(module: str, *words: object, path: Path | None = None) -> subprocess.Popen[str]:
    """Start ``python -m module words`` in the checkout.

    Args:
        module: `qualiclip_metric` or `benchmarks`.
        words: Its command line.
        path: A folder of modules of the test's own.

    Returns:
        The process; its stdout and stderr are pipes.
    """
    folders = os.pathsep.join(str(folder) for folder in (path, ROOT) if folder is not None)
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is true; fail where a process ends before, or it takes too long."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended too early: {process.communicate()}")
        assert time.monotonic() < deadline, "the condition never came"
        time.sleep(0.005)


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; exit code and stderr."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=LONGEST)
    return process.returncode, errors


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """Ids of a process's children, from /proc."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
