"""`qualiclip pick`: the best photo of each burst in a folder. Rows on stdout or in a csv file."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    DeviceOption,
    Engine,
    EngineOption,
    ModelOption,
    Precision,
    PrecisionOption,
    RecursiveOption,
    WorkersOption,
    out_option,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, fail, stdout_errors, stopping
from qualiclip_metric.files import check_writable, error_text, link_or_copy, writing
from qualiclip_metric.progress import progress_bar
from qualiclip_metric.scoring.options import ScoreOptions

if TYPE_CHECKING:
    from qualiclip_metric.scoring.picks import Pick


def pick(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of photos.")],
    out: Annotated[Path | None, out_option("csv file; default: standard output.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page, groups side by side.")
    ] = None,
    copy_best: Annotated[
        Path | None,
        typer.Option("--copy-best", help="Folder that gets a link or a copy of each best photo."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="Longest time between two photos of a burst.")
    ] = 10.0,
    model: ModelOption = "lite",
    recursive: RecursiveOption = True,
    workers: WorkersOption = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
) -> None:
    """Find the best photo of each burst: near duplicates are grouped, ranked, and compared.

    Columns: path, group, score, best (true or false), reason. A photo without a near duplicate is
    the best of its group. No photo is moved or changed. A file that cannot be read gets a row with
    the error, and exit code 1 at the end.
    """
    from qualiclip_metric.sources.arguments import open_sources

    _check_places(folder, out, html, copy_best)
    try:
        sources = open_sources([str(folder)], recursive=recursive)
        options = ScoreOptions(workers=workers)
    except ValueError as err:
        fail(err)
    metric = load_metric(model, device, precision.value, engine.value)
    from qualiclip_metric.scoring.picks import measure, pick_rows, write_csv
    from qualiclip_metric.scoring.pipeline import score_items
    from qualiclip_metric.scoring.results import partial_path

    total = sources.count()
    with stopping() as stop, progress_bar("scoring", total) as progress:
        rows = score_items(
            metric,
            sources.items(),
            options,
            progress=progress.update,
            stopped=stop,
            measure=measure,
        )
        picks = pick_rows(rows, seconds)
    if stop() and out is not None:
        out = partial_path(out)  # groups may lack photos that were not reached
    try:
        with (
            nullcontext(sys.stdout) if out is None else writing(out) as file,
            stdout_errors() if out is None else nullcontext(),
        ):
            write_csv(file, picks)
        if html is not None and not stop():
            from qualiclip_metric.pages.picks import write_pick_page

            assert metric.signature is not None
            signature = metric.signature.of_files(options.colour)
            write_pick_page(html, picks, folder, str(signature))
    except OSError as err:
        fail(error_text(err), DATA_ERROR)
    taken = 0
    if copy_best is not None and not stop():
        taken = _copy_best(picks, folder, copy_best)
    failed = sum(one.score is None for one in picks)
    groups = sum(one.best for one in picks)
    for line in (
        sources.note(),
        f"{len(picks)} photos, {groups} groups",
        f"{failed} of {len(picks)} photos could not be scored" if failed else None,
        f"interrupted: {len(picks)} of {total} photos done" if stop() else None,
        f"--copy-best: {taken} names are taken by other files, which stay" if taken else None,
        str(out) if out is not None else None,
    ):
        if line:
            typer.echo(line, err=True)
    raise typer.Exit(stop.code or (DATA_ERROR if failed or taken else 0))


def _check_places(
    folder: Path, out: Path | None, html: Path | None, copy_best: Path | None
) -> None:
    """Check the folder, and that everything can be written, before a model is loaded."""
    if not folder.is_dir():
        fail(f"{folder}: expected a folder of photos")
    for option, path in (("--out", out), ("--html", html)):
        try:
            if path is not None:
                check_writable(path)
        except OSError as err:
            fail(f"{option}: {error_text(err)}")
    if out is not None and out.suffix.lower() != ".csv":
        fail(f"--out: expected a name that ends in .csv, got {out}")
    if copy_best is None:
        return
    if copy_best.resolve().is_relative_to(folder.resolve()):
        fail(
            f"--copy-best: expected a folder outside {folder}, for the next run would find the "
            f"copies there; got {copy_best}"
        )
    if copy_best.exists() and not copy_best.is_dir():
        fail(f"--copy-best: expected a folder, got the file {copy_best}")


def _copy_best(picks: "Sequence[Pick]", folder: Path, target: Path) -> int:
    """Link or copy the best photos under their relative names; how many names were taken."""
    taken = 0
    for one in picks:
        if one.best:
            try:
                link_or_copy(one.path, target / Path(one.path).relative_to(folder))
            except FileExistsError as err:
                taken += 1
                typer.echo(f"--copy-best: {err}", err=True)
            except OSError as err:
                fail(f"--copy-best: {error_text(err)}", DATA_ERROR)
    return taken
