"""`qualiclip weights`: list, download and verify the weights of published models."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from qualiclip_metric import checkpoints
from qualiclip_metric.cli.terminal import DATA_ERROR, fail

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, download and verify model weights."
)

T = TypeVar("T")
Names = Annotated[list[str] | None, typer.Argument(help="Names from `qualiclip weights list`.")]


@app.command("list")
def list_() -> None:
    """List the models: licence, whether the file's SHA-256 is pinned, file if it is here."""
    rows = [("NAME", "LICENCE", "SHA256", "FILE")]
    for name in checkpoints.EMBEDDED:
        rows.append((name, "Apache-2.0", "in the package", "in the package"))
    rows += [_row(name, entry) for name, entry in checkpoints.PUBLISHED.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        typer.echo("  ".join((*cells, row[3])))
    typer.echo(
        "\nnot known: the publisher states no digest; the file is read as tensors only, never as "
        f"code\nfolder: {checkpoints.cache_folder()} (QUALICLIP_HOME)",
        err=True,
    )


@app.command()
def fetch(names: Names = None) -> None:
    """Download published weights, by default those of `qualiclip`, and print their paths."""
    for name in names or ["qualiclip"]:
        _check_published(name)
        typer.echo(_or_fail(lambda: checkpoints.fetch(name)))  # noqa: B023


@app.command()
def verify(names: Names = None) -> None:
    """Verify the files that are here.

    Exit code 1 if one is wrong, or one of NAMES is missing.
    """
    bad = False
    for name in names or list(checkpoints.PUBLISHED):
        _check_published(name)
        try:
            found = checkpoints.locate(name)
        except checkpoints.WeightsError as err:
            typer.echo(f"{name}: BAD  {err}")
            bad = True
            continue
        if found is None:
            typer.echo(f"{name}: not here")
            bad = bad or bool(names)
        elif found.pinned:
            typer.echo(f"{name}: ok {found.path}")
        else:
            digest = checkpoints.sha256_of(found.path)
            typer.echo(f"{name}: published digest not known, sha256 is {digest} {found.path}")
    if bad:
        raise typer.Exit(DATA_ERROR)


@app.command()
def path(
    name: Annotated[str, typer.Argument(help="Name or path of a model.")] = "qualiclip",
) -> None:
    """Print the file of a model without downloading it; exit code 1 if it is not here."""
    known = checkpoints.registered_name(name)
    if known in checkpoints.PUBLISHED:
        found = _or_fail(lambda: checkpoints.locate(known))
        if found is None:
            fail(f"{name}: not here; `qualiclip weights fetch {name}` downloads it", DATA_ERROR)
        typer.echo(found.path)
    else:
        typer.echo(_or_fail(lambda: checkpoints.resolve(name)))


def _row(name: str, entry: checkpoints.Published) -> tuple[str, str, str, str]:
    known = "pinned" if entry.sources[0].sha256 else "not known"
    try:
        found = checkpoints.locate(name)
    except checkpoints.WeightsError:
        return name, entry.licence, known, "BAD: see `qualiclip weights verify`"
    return name, entry.licence, known, str(found.path) if found else "-"


def _check_published(name: str) -> None:
    if name not in checkpoints.PUBLISHED:
        fail(f"expected one of {', '.join(checkpoints.PUBLISHED)}, got {name!r}")


def _or_fail(action: Callable[[], T]) -> T:
    """Run an action; on failure, print the reason to stderr and exit with the right code."""
    try:
        return action()
    except ValueError as err:
        fail(err)
    except (checkpoints.WeightsError, OSError) as err:
        fail(err, DATA_ERROR)
