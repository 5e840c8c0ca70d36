"""Errors on stderr, exit codes and signals of all commands."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer

from qualiclip_metric.files import error_text

USAGE_ERROR = 2
DATA_ERROR = 1
BELOW_BAR = 3
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def fail(message: object, code: int = USAGE_ERROR) -> NoReturn:
    """Print an error on stderr, and end the command.

    The code is `USAGE_ERROR` if nothing was done, `DATA_ERROR` if the data caused the error.
    """
    typer.echo(f"error: {error_text(message)}", err=True)
    raise typer.Exit(code)


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Turn an error of stdout into one line and exit code `DATA_ERROR`; a closed pipe is silent."""
    try:
        yield
        sys.stdout.flush()
    except OSError as err:
        _redirect_stdout_to_devnull()
        if err.errno == errno.EPIPE:
            raise typer.Exit(DATA_ERROR) from err
        fail(f"stdout: {err.strerror or err}", DATA_ERROR)


def _redirect_stdout_to_devnull() -> None:
    """Discard the buffer of stdout, which the interpreter would flush at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file
        return


# --- signals ---------------------------------------------------------------------------------


class Terminated(SystemExit):
    """SIGTERM as an exception, so that scratch files are removed."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def end_on_sigterm() -> None:
    """Let SIGTERM raise `Terminated` in the main thread, as SIGINT raises KeyboardInterrupt.

    A job scheduler sends it to all processes of a job. Workers then end as well, as they should,
    but torch's handler of SIGCHLD would raise an error in place of `Terminated`.
    """

    def end(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the cleaning
        if hasattr(signal, "SIGCHLD"):
            # a function: with SIG_DFL, Python reports an error of its own if one is pending
            signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


class Stop:
    """Whether the command was asked to stop, and the exit code for that."""

    code = 0

    def __call__(self) -> bool:
        """Return whether it was asked."""
        return bool(self.code)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let the first Ctrl-C or SIGTERM ask for a stop; a second one ends the command at once.

    The result stays false outside the main thread, where signals do not arrive.
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
