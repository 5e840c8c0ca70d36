"""What gMAD's commands print and write. Knows stdout, stderr and JSON; knows nothing of gMAD."""

import json
from pathlib import Path
from typing import Any

import typer

from benchmarks.store import write_text

__all__ = ["print_ranking", "say", "write_json"]


def say(text: str) -> None:
    """A message for people, on stderr."""
    typer.echo(text, err=True)


def write_json(path: Path, value: object) -> None:
    """Strict JSON (no NaN), readable by people."""
    write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", path)


def print_ranking(name: str, ranking: dict[str, Any], *, err: bool = True) -> None:
    """A ranking for people; on stdout where it is the command's result."""
    typer.echo(f"{name} ({ranking['method']}):", err=err)
    for row in ranking["rows"]:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        typer.echo(f"  {row['rank']:2d}  {row['score']:+.3f} {interval}  {row['metric']}", err=err)
