"""What gMAD's commands print and write. Knows stdout, stderr and JSON; knows nothing of gMAD."""

from typing import Any

import typer

__all__ = ["print_ranking", "say"]


def say(text: str) -> None:
    """A message for people, on stderr."""
    typer.echo(text, err=True)


def print_ranking(name: str, ranking: dict[str, Any], *, err: bool = True) -> None:
    """A ranking for people; on stdout where it is the command's result."""
    typer.echo(f"{name} ({ranking['method']}):", err=err)
    for row in ranking["rows"]:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        typer.echo(f"  {row['rank']:2d}  {row['score']:+.3f} {interval}  {row['metric']}", err=err)
