"""`qualiclip score`: image files -> scores. Results on stdout, everything else on stderr."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    MAX_PIXELS,
    BatchSizeOption,
    DeviceOption,
    Engine,
    EngineOption,
    ImagesArgument,
    MaxPixelsOption,
    ModelOption,
    Precision,
    PrecisionOption,
    PromptsOption,
    RecursiveOption,
    SizeOption,
    TruncatedOption,
    WorkersOption,
    out_option,
)
from qualiclip_metric.cli.rows import HOLDS_SIGNATURE, WRITERS, Format, csv_writer, format_for
from qualiclip_metric.cli.terminal import (
    DATA_ERROR,
    INTERRUPTED,
    TERMINATED,
    Terminated,
    fail,
    stdout_errors,
)
from qualiclip_metric.files import check_writable, is_special, writing
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from qualiclip_metric.scoring import Result


def score(
    paths: ImagesArgument,
    model: ModelOption = "lite",
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How to write results; else as the file's suffix says."),
    ] = None,
    out: Annotated[
        Path | None, out_option("File for the results; it appears once they are all there.")
    ] = None,
    recursive: RecursiveOption = True,
    raw: Annotated[
        bool, typer.Option("--raw", help="csv: leave names that look like formulas as they are.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Best first, failures last.")] = False,
    batch_size: BatchSizeOption = 16,
    workers: WorkersOption = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
    prompts: PromptsOption = None,
    size: SizeOption = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Also name each image's likeliest fault.")
    ] = False,
    background: Annotated[
        str, typer.Option(help="Colour under transparent pixels: a name or #rrggbb.")
    ] = "white",
    max_pixels: MaxPixelsOption = MAX_PIXELS,
    allow_truncated: TruncatedOption = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, help="Seconds that reading one file may take."),
    ] = None,
) -> None:
    """Score the quality of images: 0 to 1, higher is better.

    A file that cannot be read gives a row with the reason, and exit code 1 at the end. A file of
    results is replaced by a complete one only: after Ctrl-C the one that was there stays.

    What the scores depend on is stated as a signature: on stderr, and in json in the results.
    """
    from qualiclip_metric.images import find_images

    colour = _colour(background)
    try:
        form = format_for(out, form)
        found = find_images(paths, recursive)
        if out is not None:
            check_writable(out)
    except ValueError as err:
        fail(err)
    except OSError as err:
        fail(f"--out: {err}")
    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    from qualiclip_metric import scoring

    warnings.filterwarnings("ignore", module="PIL")  # a file's oddities that do not stop a viewer
    if note := found.note():
        typer.echo(note, err=True)
    try:
        results = scoring.score_files(
            metric,
            found.files,
            batch_size=batch_size,
            workers=workers,
            background=colour,
            max_pixels=max_pixels,
            allow_truncated=allow_truncated,
            timeout=timeout,
            device=metric.device,
            diagnose=diagnose,
        )
    except ValueError as err:
        fail(err)
    streams = out is None and not sort and form is not Format.json
    tally = _Tally(results, len(found.files), show=not (streams and sys.stdout.isatty()))
    rows = sorted(tally, key=_best_first) if sort else tally
    write = csv_writer(raw, diagnose) if form is Format.csv else WRITERS[form]
    with _destination(out, tally) as file:
        write(rows, str(metric.signature), file)
    if form not in HOLDS_SIGNATURE:
        typer.echo(metric.signature, err=True)
    raise typer.Exit(tally.report())


class _Tally:
    """Passes results on with a progress bar, counts them; an interruption is their end."""

    def __init__(self, results: "Iterator[Result]", total: int, show: bool) -> None:
        self.results, self.total, self.show = results, total, show
        self.done, self.failed, self.interrupted = 0, 0, 0

    def __iter__(self) -> "Iterator[Result]":
        with progress_bar("scoring", self.total, show=self.show) as progress:
            try:
                for result in self.results:
                    self.done += 1
                    self.failed += result.score is None
                    progress.update(self.done, failed=self.failed)
                    yield result
            except KeyboardInterrupt:
                self.interrupted = INTERRUPTED
            except Terminated:
                self.interrupted = TERMINATED

    def report(self) -> int:
        """Say on stderr what went wrong, if anything; the exit code."""
        if self.failed:
            typer.echo(f"{self.failed} of {self.total} images could not be scored", err=True)
        if self.interrupted:
            typer.echo(f"interrupted: {self.done} of {self.total} images done", err=True)
        return self.interrupted or (DATA_ERROR if self.failed else 0)


def _best_first(result: "Result") -> float:
    return float("inf") if result.score is None else -result.score


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        fail(f"--background: expected a colour such as white, black or #8080ff, got {text!r}")
    return red, green, blue


@contextmanager
def _destination(out: Path | None, tally: _Tally) -> Iterator[TextIO]:
    """Stdout, or a file that appears whole or not at all; both take any bytes in a path.

    An interrupted run makes a new file of what is done, but replaces none that was there.
    """
    if out is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        with stdout_errors():
            yield sys.stdout
        return
    try:
        with writing(out) as file:
            yield file
            if tally.interrupted and out.exists() and not is_special(out):
                typer.echo(f"{out}: left as it was, for this run is not complete", err=True)
                raise typer.Exit(tally.report())
    except OSError as err:
        fail(f"--out: {err}", DATA_ERROR)
