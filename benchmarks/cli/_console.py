"""Messages for people on stderr; results go to stdout with `typer.echo`."""

import typer

__all__ = ["message"]


def message(text: str) -> None:
    """Print a line for people on stderr."""
    typer.echo(text, err=True)
