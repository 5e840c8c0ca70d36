"""Commands in processes of their own, and waiting for conditions instead of a while."""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 120.0
"""Seconds after which a condition that does not come fails its test."""
PRELOAD = (
    "accelerate", "benchmarks.scoring.runner", "pandas", "pyarrow.parquet", "pytest",
    "qualiclip_metric.build", "qualiclip_metric.export", "qualiclip_metric.scoring",
    "qualiclip_metric.training", "tests.faults.processes", "torch.utils.tensorboard",
)  # fmt: skip
"""Modules that commands take seconds to import: a server has them, and forks."""


class Command:
    """A running ``python -m module words``, on one thread, in the checkout.

    Tests begin one by the fixture `start`, which ends what a failed test leaves running.

    Args:
        module: `qualiclip_metric` or `benchmarks`.
        words: Its command line.
        path: A folder of modules of the test's own.
        fresh: Whether the process imports all it needs by itself, in the environment of now.
    """

    def __init__(
        self, module: str, *words: object, path: Path | None = None, fresh: bool = False
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folders = [str(folder) for folder in (path, ROOT) if folder is not None]
        task = (module, list(map(str, words)), folders, self._folder.name)
        if fresh:
            context: multiprocessing.context.BaseContext = multiprocessing.get_context("spawn")
        else:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(list(PRELOAD))
        self._process = context.Process(target=_run, args=task)  # type: ignore[attr-defined]
        self._process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self._process.pid or 0)

    def running(self) -> bool:
        """Whether it has not ended."""
        return bool(self._process.is_alive())

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, str]:
        """Wait for its end; exit code (below 0 where a signal ended it) and stderr."""
        self._process.join(LONGEST)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise AssertionError(f"no end in {LONGEST:g} s: {self._said()}")
        return int(code), self._said()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; exit code and stderr."""
        self.send(number)
        return self.wait()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true; fail where the process ends before."""
        deadline = time.monotonic() + LONGEST
        while not condition():
            assert self.running(), f"ended too early: {self._said()}"
            assert time.monotonic() < deadline, f"the condition never came: {self._said()}"
            time.sleep(0.005)

    def close(self) -> None:
        """End it where it still runs, and forget what it said."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._folder.cleanup()

    def _said(self) -> str:
        path = Path(self._folder.name, "2")
        return path.read_text() if path.exists() else ""


Start = Callable[..., Command]
"""Begins a command: the arguments of `Command`."""


def _run(module: str, words: list[str], folders: list[str], output: str) -> None:
    """Run the command in this new process, its output in files."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    for stream in (1, 2):
        os.dup2(os.open(f"{output}/{stream}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    sys.path[:0] = folders
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def wait_until_gone(pids: list[int]) -> None:
    """Wait until processes have ended."""
    deadline = time.monotonic() + LONGEST
    while any(map(_is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.005)


def children_of(process: Command) -> list[int]:
    """Ids of a process's children, from /proc."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def _is_running(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
