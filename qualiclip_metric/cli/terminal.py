"""Messages on stderr and exit codes, one way for all commands."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from qualiclip_metric.files import error_text

USAGE_ERROR = 2
DATA_ERROR = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def fail(message: object, code: int = USAGE_ERROR) -> NoReturn:
    """Print an error on stderr, and end the command.

    Args:
        message: What was expected, what came, and the cure; or an exception that says so.
        code: Exit code: `USAGE_ERROR` where nothing was done, `DATA_ERROR` where data is at fault.

    Raises:
        typer.Exit: Always.
    """
    typer.echo(f"error: {error_text(message)}", err=True)
    raise typer.Exit(code)


def printable(text: object) -> str:
    """Text that is safe on a terminal: control characters and lone surrogates are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


class Terminated(SystemExit):
    """SIGTERM, as an exception: what is half written is cleaned up on the way out."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def end_on_sigterm() -> None:
    """Let SIGTERM raise `Terminated` in the main thread, as SIGINT raises KeyboardInterrupt.

    A job scheduler sends it to all processes of a job. That workers end with it, too, is no error
    then, but torch's handler of SIGCHLD would raise one over `Terminated`.
    """

    def end(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the second one must not stop the cleaning
        if hasattr(signal, "SIGCHLD"):
            # a function, for Python reports an error of its own where one is waiting for SIG_DFL
            signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Turn what goes wrong with stdout into one line and an exit code; a closed pipe needs no line.

    Raises:
        typer.Exit: With `DATA_ERROR`.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as err:
        _drop_stdout()
        if err.errno == errno.EPIPE:
            raise typer.Exit(DATA_ERROR) from err
        fail(f"stdout: {err.strerror or err}", DATA_ERROR)


def _drop_stdout() -> None:
    """Let what is still in the buffer go nowhere; the interpreter flushes stdout at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file
        return
