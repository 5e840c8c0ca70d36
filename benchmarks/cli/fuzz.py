"""`python -m benchmarks fuzz`: thousands of damaged files, and what came of each."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli._options import Seed
from benchmarks.fuzz.session import TIMEOUT, fuzz
from qualiclip_metric.cli.stopping import stopping
from qualiclip_metric.progress import progress_bar


class Kind(str, Enum):
    """Kind of file."""

    bombs = "bombs"
    images = "images"
    checkpoints = "checkpoints"
    labels = "labels"


def app(
    *,
    files: Annotated[int, typer.Option(min=1, help="How many of each kind.")] = 1000,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="bombs, images, checkpoints, labels; default: images. May be repeated."),
    ] = None,
    seed: Seed = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until a file hangs.")] = TIMEOUT,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for files that ended as none should.")
    ] = None,
) -> None:
    """Damage real files and read each: it is read, or refused with a reason, and nothing else.

    Images of eight formats are scored by `lite`, and so are bombs: small files, undamaged, whose
    headers promise nearly as many pixels as are allowed. Checkpoints and label files are loaded.
    Prints counts by outcome, peak memory and the slowest file. Ends with 1 where a file raised an
    exception, crashed or hung the process, took over 2 GB, or scored out of [0, 1]. Ctrl-C and
    SIGTERM leave out the rest and print what was counted.
    """
    failed = False
    with stopping() as stop:
        for one in dict.fromkeys(kind or [Kind.images]):
            with progress_bar(one.value, files, unit="files") as bar:
                update: Callable[[int], None] = bar.update
                report = fuzz(
                    one.value, files, seed, keep=keep, timeout=timeout, progress=update, stop=stop
                )
            typer.echo(report.text())
            failed |= bool(report.failures)
            if stop():
                raise typer.Exit(stop.code)
    if failed:
        raise typer.Exit(1)
