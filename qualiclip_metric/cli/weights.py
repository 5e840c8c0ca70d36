"""`qualiclip weights`: what can be fetched, what is here, and whether it is what it should be."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from qualiclip_metric import weights
from qualiclip_metric.cli.terminal import DATA_ERROR, fail

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, fetch and check model weights."
)

T = TypeVar("T")
Names = Annotated[list[str] | None, typer.Argument(help="Names from `qualiclip weights list`.")]


@app.command("list")
def list_() -> None:
    """Show every model: licence, file if it is here, what vouches for it."""
    rows = [("NAME", "LICENCE", "SHA256", "FILE")]
    rows += [(name, "Apache-2.0", "in the wheel", "in the package") for name in weights.EMBEDDED]
    rows += [_row(name, entry) for name, entry in weights.PUBLISHED.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        typer.echo("  ".join((*cells, row[3])))
    typer.echo(f"\nfolder: {weights.home()} (QUALICLIP_HOME)", err=True)


@app.command()
def fetch(names: Names = None) -> None:
    """Download published weights; without a name, those of `qualiclip`. Prints their paths."""
    for name in names or ["qualiclip"]:
        _check_published(name)
        typer.echo(_or_fail(lambda: weights.fetch(name)))  # noqa: B023


@app.command()
def verify(names: Names = None) -> None:
    """Hash the files that are here.

    Exit code 1 when one is wrong, or one that is named is missing.
    """
    bad = False
    for name in names or list(weights.PUBLISHED):
        _check_published(name)
        try:
            found = weights.locate(name)
        except weights.WeightsError as err:
            typer.echo(f"{name}: BAD  {err}")
            bad = True
        else:
            bad = bad or (found is None and bool(names))
            typer.echo(
                f"{name}: not here"
                if found is None
                else f"{name}: ok ({found.digest_from}) {found.path}"
            )
    if bad:
        raise typer.Exit(DATA_ERROR)


@app.command()
def path(
    name: Annotated[str, typer.Argument(help="Name or path of a model.")] = "qualiclip",
) -> None:
    """Print the file of a model if it is here; exit code 1 if it is not. Fetches nothing."""
    known = weights.registered_name(name)
    if known in weights.PUBLISHED:
        found = _or_fail(lambda: weights.locate(known))
        if found is None:
            fail(f"{name}: not here; `qualiclip weights fetch {name}` gets it", DATA_ERROR)
        typer.echo(found.path)
    else:
        typer.echo(_or_fail(lambda: weights.resolve(name)))


def _row(name: str, entry: weights.Published) -> tuple[str, str, str, str]:
    known = "published" if entry.sources[0].sha256 else "on first use"
    try:
        found = weights.locate(name)
    except weights.WeightsError:
        return name, entry.licence, known, "BAD: see `qualiclip weights verify`"
    return name, entry.licence, known, str(found.path) if found else "-"


def _check_published(name: str) -> None:
    if name not in weights.PUBLISHED:
        fail(f"expected one of {', '.join(weights.PUBLISHED)}, got {name!r}")


def _or_fail(action: Callable[[], T]) -> T:
    """What an action returns; where it fails, its reason on stderr and the right exit code."""
    try:
        return action()
    except ValueError as err:
        fail(err)
    except (weights.WeightsError, OSError) as err:
        fail(err, DATA_ERROR)
