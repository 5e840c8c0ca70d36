"""Several devices, one process each; rows come back in the order of the images."""

import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch

from qualiclip_metric.scoring.columns import Row
from qualiclip_metric.scoring.options import ScoreOptions
from qualiclip_metric.scoring.pipeline import POLL_SECONDS, Metric, WorkerError, score_items
from qualiclip_metric.sources.item import Item

CHUNK = 16
"""Images that are sent to a process together."""
_PLACE = "\0place"
"""Column with an image's position, which goes to a process and comes back with the row."""
_END_SECONDS = 10.0

MakeMetric = Callable[[str], Metric]
"""Device -> the metric there. It is pickled, so that it cannot be a local function."""


def score_on_devices(
    make: MakeMetric,
    devices: Sequence[str],
    items: Iterable[Item],
    options: ScoreOptions | None = None,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Row, None, None]:
    """Score images on several devices at once, as `score_items` does on one.

    Args:
        make: Makes the metric in each process.
        devices: Where to compute, one process each; a device may be named twice.
        items: Images; read no further ahead than the processes need.
        options: How images are scored; by default the processes share the cores for decoding.
        stopped: Asked while no row comes; if true, no further batch is scored.

    Yields:
        One row per item, in their order. When stopped, finally the rows done out of order.

    Raises:
        WorkerError: If a process ends early.
    """
    options = options or ScoreOptions()
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    if options.workers is None:
        options = replace(options, workers=min(8, threads))
    workers = _Workers(make, devices, items, options, threads)
    try:
        yield from workers.rows(stopped)
    finally:
        workers.close()


class _Workers:
    """The processes, each with a thread that sends images and one that receives rows."""

    def __init__(
        self,
        make: MakeMetric,
        devices: Sequence[str],
        items: Iterable[Item],
        options: ScoreOptions,
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
            arguments = (make, device, options, threads, there, self.stop)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            there.close()  # so that the process alone has it, and notices the end of this one
            self.processes.append(process)
            threading.Thread(target=self._send, args=(here,), daemon=True).start()
            threading.Thread(target=self._receive, args=(here, device), daemon=True).start()

    def rows(self, stopped: Callable[[], bool]) -> Iterator[Row]:
        """Rows in the order of the images."""
        early: dict[int, Row] = {}
        ready, working = 0, len(self.processes)
        while working:
            if stopped():
                self.stop.set()
            try:
                kind, value = self.arrived.get(timeout=POLL_SECONDS)
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

    def _send(self, pipe: Connection) -> None:
        """Send images as the process takes them."""
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
        except OSError:  # the process is gone; `_receive` reports it
            return
        except Exception as err:
            self.arrived.put(("error", err))

    def _receive(self, pipe: Connection, device: str) -> None:
        """Receive rows until the process ends."""
        kind = ""
        while kind != "end":
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                kind, value = "error", "ended without a message (killed, or out of memory)"
            if kind == "error":
                self.arrived.put((kind, WorkerError(f"the process for {device}: {value}")))
                return
            self.arrived.put((kind, value))


def _work(
    make: MakeMetric, device: str, options: ScoreOptions, threads: int, pipe: Connection, stop: Any
) -> None:
    """Score what comes through the pipe; the main function of a process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when to end
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
