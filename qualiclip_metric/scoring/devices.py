"""Several devices, one process each: images go to whoever has room, rows come back in order."""

import itertools
import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch

from qualiclip_metric.scoring.items import Metric, Options, score_items
from qualiclip_metric.streaming.items import Item
from qualiclip_metric.streaming.rows import Row

CHUNK = 16
"""Images that go to a process together."""
_PLACE = "\0place"
"""Column in which an image's place in the order travels to a process and back."""
_POLL_SECONDS = 0.2
_END_SECONDS = 10.0

MakeMetric = Callable[[str], Metric]
"""Device -> the metric there. It is pickled, so that no function within a function will do."""


class WorkerError(RuntimeError):
    """A process that scores could not start, or ended before its work did."""


def score_on_devices(
    make: MakeMetric,
    devices: Sequence[str],
    items: Iterable[Item],
    options: Options | None = None,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Row, None, None]:
    """Score images on several devices at once, as `score_items` does on one.

    Args:
        make: What each process makes its metric with.
        devices: Where to compute, a process each; one may be named twice.
        items: Images. They are gone through no further ahead than the processes need.
        options: How; the cores are shared out for decoding unless told.
        stopped: Asked while rows are waited for; where it says so, no further batch is begun.

    Yields:
        One row per item, in their order. When stopped, at last what is done out of order.

    Raises:
        WorkerError: When a process ends early.
    """
    options = options or Options()
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    if options.workers is None:
        options = replace(options, workers=min(8, threads))
    workers = _Workers(make, devices, items, options, threads)
    try:
        yield from workers.rows(stopped)
    finally:
        workers.close()


class _Workers:
    """The processes, with a thread that feeds and one that hears each of them."""

    def __init__(
        self,
        make: MakeMetric,
        devices: Sequence[str],
        items: Iterable[Item],
        options: Options,
        threads: int,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.stop = context.Event()
        self.placed = zip(items, itertools.count(), strict=False)
        self.lock = threading.Lock()
        self.arrived: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.processes = []
        for device in devices:
            here, there = context.Pipe()
            words = (make, device, options, threads, there, self.stop)
            process = context.Process(target=_work, args=words, daemon=True)
            process.start()
            there.close()  # the process alone has it, and so notices when this one is gone
            self.processes.append(process)
            threading.Thread(target=self._feed, args=(here,), daemon=True).start()
            threading.Thread(target=self._hear, args=(here, device), daemon=True).start()

    def rows(self, stopped: Callable[[], bool]) -> Iterator[Row]:
        """What `score_on_devices` yields."""
        early: dict[int, Row] = {}
        ready, working = 0, len(self.processes)
        while working:
            if stopped():
                self.stop.set()
            try:
                kind, value = self.arrived.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if kind == "error":
                raise value
            if kind == "end":
                working -= 1
                continue
            columns = dict(value.columns)
            early[columns.pop(_PLACE)] = replace(value, columns=columns)
            while ready in early:
                yield early.pop(ready)
                ready += 1
        yield from (early[place] for place in sorted(early))

    def close(self) -> None:
        """End the processes."""
        self.stop.set()
        for process in self.processes:
            process.join(_END_SECONDS)
            process.kill()

    def _feed(self, pipe: Connection) -> None:
        """Send images while the process takes them."""
        try:
            while not self.stop.is_set():
                with self.lock:
                    chunk = [
                        replace(item, columns={**item.columns, _PLACE: place})
                        for item, place in itertools.islice(self.placed, CHUNK)
                    ]
                if not chunk:
                    break
                pipe.send(chunk)
            pipe.send(None)
        except OSError:  # the process is gone; whoever hears it says so
            return
        except Exception as err:
            self.arrived.put(("error", err))

    def _hear(self, pipe: Connection, device: str) -> None:
        """Receive rows until the process has no more."""
        kind = ""
        while kind != "end":
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                kind, value = "error", "ended without a word (killed, or out of memory)"
            if kind == "error":
                self.arrived.put((kind, WorkerError(f"the process for {device}: {value}")))
                return
            self.arrived.put((kind, value))


def _work(
    make: MakeMetric, device: str, options: Options, threads: int, pipe: Connection, stop: Any
) -> None:
    """Score what comes through a pipe; what a process runs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides what ends
    warnings.filterwarnings("ignore", module="PIL")  # a file's oddities that stop no viewer
    torch.set_num_threads(threads)

    def items() -> Iterator[Item]:
        while (chunk := pipe.recv()) is not None:
            yield from chunk

    try:
        metric = make(device)
        for row in score_items(metric, items(), options, device=device, stopped=stop.is_set):
            pipe.send(("row", row))
        pipe.send(("end", None))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return
    except BaseException as err:
        pipe.send(("error", f"{type(err).__name__}: {err}"))
