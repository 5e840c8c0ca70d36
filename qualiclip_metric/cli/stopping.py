"""Ctrl-C and SIGTERM as a request: what is begun is finished, written, and told how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from qualiclip_metric.cli.terminal import INTERRUPTED, TERMINATED

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Stop:
    """Whether the command was asked to stop, and the exit code of that."""

    code = 0

    def __call__(self) -> bool:
        """Whether it was."""
        return bool(self.code)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let the first Ctrl-C or SIGTERM ask for a stop; a second one ends the command as ever.

    Yields:
        What to ask. It says no for ever outside the main thread, where signals do not arrive.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: FrameType | None) -> None:
        restore()
        stop.code = _CODES[signal.Signals(number)]
        typer.echo("stopping after this batch; once more stops at once", err=True)

    for number in _CODES:
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
