"""`qualiclip score`: images -> scores. Results on stdout, everything else on stderr."""

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from qualiclip_metric.cli._metric import all_devices, load_metric
from qualiclip_metric.cli.options import (
    MAX_PIXELS,
    BatchSizeOption,
    CpusPerWorkerOption,
    DeviceOption,
    Engine,
    EngineOption,
    MaxPixelsOption,
    ModelOption,
    Precision,
    PrecisionOption,
    PromptsOption,
    RayOption,
    RecursiveOption,
    SizeOption,
    TruncatedOption,
    WorkersOption,
    out_option,
)
from qualiclip_metric.cli.rows import HOLDS_SIGNATURE, Format, format_for, writer_of
from qualiclip_metric.cli.terminal import DATA_ERROR, fail
from qualiclip_metric.files import check_writable, error_text

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.prompts import Pair
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.streaming.rows import Layout, Row
    from qualiclip_metric.streaming.sources import Sources


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
    ray: RayOption = None,
    cpus_per_worker: CpusPerWorkerOption = 1,
    ray_workers: Annotated[
        int | None,
        typer.Option("--ray-workers", min=1, help="With --ray: how many; as many as fit now."),
    ] = None,
) -> None:
    """Score the quality of images: 0 to 1, higher is better.

    An image that cannot be read gives a row with the reason, and exit code 1 at the end. Rows are
    written as they come: after a kill or Ctrl-C the same command scores what has no row. A csv or
    jsonl file grows as FILE.part, and takes FILE's place once it is complete.

    What the scores depend on is stated as a signature: in the results, or on stderr.
    """
    from qualiclip_metric.cli.score_output import check_output, open_output
    from qualiclip_metric.cli.score_run import run, score_all
    from qualiclip_metric.pages.scores import score_page
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.scoring.devices import WorkerError
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
        fail(f"--out: {error_text(err)}")
    try:
        if html is not None:
            check_writable(html)
    except OSError as err:
        fail(f"--html: {error_text(err)}")
    if ray is not None:
        _on_ray(
            ray,
            paths or [],
            sources,
            out if form is Format.parquet and html is None else None,
            options,
            opened={"from_file": from_file or (), "recursive": recursive, "column": column}
            | {"root": root},
            pool={"model": model, "device": device, "precision": precision.value}
            | {"engine": engine.value, "prompts": _pairs(prompts), "size": size}
            | {"cpus_per_worker": cpus_per_worker, "workers": ray_workers},
            overwrite=overwrite,
            retry_errors=retry_errors,
        )
    devices = all_devices(device)
    metric = load_metric(
        model, devices[0], precision.value, engine.value, prompts=prompts, size=size
    )
    # what auto came to here holds on every device, as the signature says
    make = partial(load_metric, model, prompts=prompts, size=size, **_chosen(metric))
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
            score_missing = partial(score_all, metric, devices, make, options)
            code = run(score_missing, sources, output, show, drawn)
    except (ValueError, WorkerError) as err:
        fail(err, DATA_ERROR if written else 2)
    except OSError as err:
        fail(f"--out: {error_text(err)}", DATA_ERROR if written else 2)
    if form not in HOLDS_SIGNATURE or out is None:
        typer.echo(metric.signature, err=True)
    raise typer.Exit(code)


def _layout(metric: "QualiCLIP", options: "Options", sources: "Sources") -> "Layout":
    from qualiclip_metric.scoring.items import names_of_faults
    from qualiclip_metric.streaming.rows import Layout, pair_columns

    if options.diagnose:
        names_of_faults(metric)  # an error before anything is written, where there are none
    pairs = pair_columns(metric.pairs, len(metric.prompts)) if options.pairs else ()
    return Layout(str(metric.signature), pairs, options.diagnose, sources.columns)


def _chosen(metric: "QualiCLIP") -> dict[str, str]:
    """Precision and engine of a metric."""
    assert metric.signature is not None
    return {"precision": metric.signature.precision, "engine": metric.signature.engine}


def _on_ray(
    address: str,
    paths: list[str],
    sources: "Sources",
    out: str | None,
    options: "Options",
    **given: Any,
) -> NoReturn:
    from qualiclip_metric.cli.score_ray import score_on_ray

    if out is None:
        fail("--ray writes a folder of Parquet parts: --out FOLDER/")
    raise typer.Exit(score_on_ray(address, paths, sources, out, options, **given))


def _pairs(prompts: Path | None) -> "Sequence[Pair] | None":
    from qualiclip_metric.prompts import read_pairs

    try:
        return None if prompts is None else read_pairs(prompts)
    except (ValueError, OSError) as err:
        fail(err)


def _best_first(row: "Row") -> float:
    return float("inf") if row.score is None else -row.score


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        fail(f"--background: expected a colour such as white, black or #8080ff, got {text!r}")
    return red, green, blue
