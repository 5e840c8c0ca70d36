"""`python -m benchmarks imports`: the matrix of import orders."""

import tempfile
from pathlib import Path

import typer

from benchmarks import imports
from benchmarks.seeded import write_lite


def app() -> None:
    """Build pyiqa's `qualiclip` after every order of imports, each in a fresh process.

    Exits with 1 if one of them tells other than it should.
    """
    wrong = 0
    typer.echo("| order | pkg_resources | told | |")
    typer.echo("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for outcome in imports.outcomes(write_lite(Path(folder) / "lite.safetensors")):
            wrong += not outcome.right
            there = "yes" if outcome.order.pkg_resources else "no"
            told, verdict = ", ".join(outcome.told), "ok" if outcome.right else "WRONG"
            typer.echo(f"| {outcome.order.what} | {there} | {told} | {verdict} |")
    raise typer.Exit(int(wrong > 0))
