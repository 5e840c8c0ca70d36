"""Messages and progress on stderr, one way for all commands. Results are not its matter."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

USAGE_ERROR = 2
DATA_ERROR = 1
INTERRUPTED = 130


def fail(message: object, code: int = USAGE_ERROR) -> NoReturn:
    """Say what is wrong on stderr, and stop."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def printable(text: object) -> str:
    """Text that is safe on a terminal: control characters and lone surrogates are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


@contextmanager
def progress(label: str, total: int, show: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where stderr is a terminal; nothing elsewhere.

    Args:
        label: What is being done.
        total: How many items there are.
        show: False for no bar, say where rows appear on the same terminal.

    Yields:
        Function to call with the number of items done so far.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not (show and console.is_terminal),
        redirect_stdout=False,  # rich would send results to stderr
    ) as bars:
        task = bars.add_task(label, total=total)
        yield lambda done: bars.update(task, completed=done)
