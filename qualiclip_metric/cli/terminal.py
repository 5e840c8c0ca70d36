"""Messages on stderr and exit codes, one way for all commands."""

from typing import NoReturn

import typer

USAGE_ERROR = 2
DATA_ERROR = 1
INTERRUPTED = 130


def fail(message: object, code: int = USAGE_ERROR) -> NoReturn:
    """Print an error on stderr, and end the command.

    Args:
        message: What was expected, what came, and the cure.
        code: Exit code: `USAGE_ERROR` where nothing was done, `DATA_ERROR` where data is at fault.

    Raises:
        typer.Exit: Always.
    """
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def printable(text: object) -> str:
    """Text that is safe on a terminal: control characters and lone surrogates are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
