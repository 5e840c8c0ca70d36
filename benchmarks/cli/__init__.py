"""The subcommands of `python -m benchmarks`, one file each. They only read options and print."""

import typer

__all__ = ["message"]


def message(text: str) -> None:
    """Print a line for people on stderr."""
    typer.echo(text, err=True)
