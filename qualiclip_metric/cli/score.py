"""`qualiclip score`: images -> scores. Results on stdout, everything else on stderr."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    MAX_PIXELS,
    BatchSizeOption,
    DeviceOption,
    Engine,
    EngineOption,
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
from qualiclip_metric.cli.rows import HOLDS_SIGNATURE, Format, format_for, writer_of
from qualiclip_metric.cli.stopping import Stop, stopping
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, TERMINATED, Terminated, fail
from qualiclip_metric.files import check_writable
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from qualiclip_metric.cli.score_output import Output
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.streaming.rows import Layout, Row
    from qualiclip_metric.streaming.sources import Sources

_COUNT_SECONDS = 1.0
"""How long an interrupted command waits to know how many images there are."""


def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Image files, folders, patterns; tables (.csv, .jsonl, .parquet) and tar shards, "
            "which may have braces ({000..099}); any of these as URLs; - for a list on stdin.",
            show_default=False,
        ),
    ] = None,
    from_file: Annotated[
        list[str] | None,
        typer.Option("--from-file", help="List of paths, one a line or NUL-separated."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", help="Tables: column of paths or images; image, path, key."),
    ] = None,
    root: Annotated[
        str, typer.Option("--root", help="Folder or URL of relative paths in lists and tables.")
    ] = "",
    model: ModelOption = "lite",
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How to write results; else as the name of --out says."),
    ] = None,
    out: Annotated[
        str | None,
        out_option("File for the results, or FOLDER/ for Parquet parts; both can be resumed."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh, whatever rows are there.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Score again what has a row without a score.")
    ] = False,
    recursive: RecursiveOption = True,
    raw: Annotated[
        bool, typer.Option("--raw", help="csv: leave names that look like formulas as they are.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Best first, failures last.")] = False,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Also write the probability of each antonym pair.")
    ] = False,
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
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page with thumbnails, best first."),
    ] = None,
) -> None:
    """Score the quality of images: 0 to 1, higher is better.

    An image that cannot be read gives a row with the reason, and exit code 1 at the end. Rows are
    written as they come: after a kill or Ctrl-C the same command scores what has no row. A csv or
    jsonl file grows as FILE.part, and takes FILE's place once it is complete.

    What the scores depend on is stated as a signature: in the results, or on stderr.
    """
    from qualiclip_metric.cli.score_output import check_output, open_output
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.scoring.sheet import score_page
    from qualiclip_metric.streaming.sources import open_sources

    options = Options(
        batch_size,
        workers,
        _colour(background),
        max_pixels,
        allow_truncated,
        timeout,
        diagnose,
        pairs,
    )
    if not (paths or from_file):
        fail("expected images, folders, patterns, tables, shards, or --from-file LIST")
    try:
        form = format_for(out, form)
        sources = open_sources(
            paths or (), from_file=from_file or (), recursive=recursive, column=column, root=root
        )
    except (ValueError, OSError) as err:
        fail(err)
    try:
        check_output(out, form)
    except OSError as err:
        fail(f"--out: {err}")
    try:
        if html is not None:
            check_writable(html)
    except OSError as err:
        fail(f"--html: {err}")
    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    warnings.filterwarnings("ignore", module="PIL")  # a file's oddities that do not stop a viewer
    written = False
    try:
        layout = _layout(metric, options, sources)
        order = _best_first if sort else None
        with (
            score_page(html, layout.signature) as drawn,
            open_output(
                out,
                form,
                layout,
                writer_of(form, raw),
                raw=raw,
                order=order,
                overwrite=overwrite,
                retry_errors=retry_errors,
            ) as output,
        ):
            if html is not None and output.done:
                raise ValueError(
                    f"--html: {output.done} rows are there already, whose images are not scored "
                    "again; --overwrite scores all, so that all are on the page"
                )
            written = True
            streams = out is None and order is None and form is not Format.json
            show = not (streams and sys.stdout.isatty())
            code = _run(metric, sources, options, output, show, drawn)
    except ValueError as err:
        fail(err, DATA_ERROR if written else 2)
    except OSError as err:
        fail(f"--out: {err}", DATA_ERROR if written else 2)
    if form not in HOLDS_SIGNATURE or out is None:
        typer.echo(metric.signature, err=True)
    raise typer.Exit(code)


def _layout(metric: "QualiCLIP", options: "Options", sources: "Sources") -> "Layout":
    from qualiclip_metric.streaming.rows import Layout, pair_columns

    pairs = pair_columns(metric.pairs, len(metric.prompts)) if options.pairs else ()
    return Layout(str(metric.signature), pairs, options.diagnose, sources.columns)


def _run(
    metric: "QualiCLIP",
    sources: "Sources",
    options: "Options",
    output: "Output",
    show: bool,
    drawn: "Callable[[Iterable[Row]], Iterator[Row]]",
) -> int:
    """Score what is missing, each row drawn on its way to the output; the exit code."""
    from qualiclip_metric import scoring

    with stopping() as stop:
        rows = scoring.score_items(
            metric, output.missing(sources.items()), options, stopped=stop, device=metric.device
        )
        tally = _Tally(rows, sources, output, stop, show)
        try:
            note = output.take(drawn(tally), stop)
        finally:
            rows.close()
    for line in (sources.note(), *tally.lines(), note):
        if line:
            typer.echo(line, err=True)
    return stop.code or (DATA_ERROR if tally.failed else 0)


class _Tally:
    """Passes rows on with a progress bar, and counts them; an interruption is their end."""

    def __init__(
        self, rows: "Iterator[Row]", sources: "Sources", output: "Output", stop: Stop, show: bool
    ) -> None:
        self.rows, self.sources, self.stop, self.show = rows, sources, stop, show
        self.before, self.done, self.failed = output.done, output.done, output.failed
        self.total: int | None = None

    def __iter__(self) -> "Iterator[Row]":
        counter = threading.Thread(target=self._count, daemon=True)
        counter.start()
        with progress_bar("scoring", None, done=self.before, show=self.show) as progress:
            try:
                for row in self.rows:
                    self.done += 1
                    self.failed += row.score is None
                    progress.update(self.done, failed=self.failed, total=self.total)
                    yield row
            except KeyboardInterrupt:  # the second one
                self.stop.code = INTERRUPTED
            except Terminated:
                self.stop.code = TERMINATED
        if self.stop():
            counter.join(_COUNT_SECONDS)
        else:
            self.total = self.done

    def lines(self) -> "Iterator[str]":
        """What to say at the end, if anything."""
        if self.failed:
            yield f"{self.failed} of {self.done} images could not be scored"
        if self.stop():
            of = "" if self.total is None else f" of {self.total}"
            yield f"interrupted: {self.done}{of} images done"

    def _count(self) -> None:
        """How many images there are, found out while the first are scored."""
        try:
            self.total = self.sources.count()
        except (OSError, ValueError):  # whoever lists them will say so
            return


def _best_first(row: "Row") -> float:
    return float("inf") if row.score is None else -row.score


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        fail(f"--background: expected a colour such as white, black or #8080ff, got {text!r}")
    return red, green, blue
