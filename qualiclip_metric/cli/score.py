"""`qualiclip score`: images -> scores. Results on stdout, everything else on stderr.

options -> open_sources -> score_items -> open_output(...).write -> notes and exit code
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import read_prompts
from qualiclip_metric.cli.options import (
    BatchSizeOption,
    Colour,
    ColourOption,
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
    ReferenceOption,
    SizeOption,
    TruncatedOption,
    WorkersOption,
    out_option,
)
from qualiclip_metric.cli.terminal import fail
from qualiclip_metric.files import check_writable, error_text
from qualiclip_metric.limits import MAX_PIXELS
from qualiclip_metric.scoring.options import (
    Format,
    MetricOptions,
    OutputOptions,
    ScoreOptions,
    choose_format,
)

if TYPE_CHECKING:
    from qualiclip_metric.reference import Reference
    from qualiclip_metric.scoring.kept_files import KeptFiles


def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Image files, folders, patterns; tables (.csv, .tsv, .jsonl, .parquet) and shards "
            "(.tar, .zip), which may have braces ({000..099}); all as URLs; - for a list on stdin.",
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
        typer.Option("--format", help="Format of the results; default: by the name of --out."),
    ] = None,
    out: Annotated[
        str | None,
        out_option("File for the results, or FOLDER/ for Parquet parts."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh, also if there are rows.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Score again images whose row has no score.")
    ] = False,
    recursive: RecursiveOption = True,
    raw: Annotated[
        bool, typer.Option("--raw", help="csv: leave names that look like formulas as they are.")
    ] = False,
    bom: Annotated[
        bool, typer.Option("--bom", help="csv: begin with a byte order mark, for Excel.")
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
    checks: Annotated[
        bool, typer.Option("--checks", help="Also write brightness, sharpness, noise and others.")
    ] = False,
    percentile: Annotated[
        bool,
        typer.Option("--percentile", help="Also write the percent of photos that score lower."),
    ] = False,
    reference: ReferenceOption = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min", min=0, max=1, help="Lowest score to keep: column `keep`, exit code 3."
        ),
    ] = None,
    min_percentile: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Lowest percentile to keep; implies --percentile."),
    ] = None,
    copy_kept: Annotated[
        Path | None,
        typer.Option(help="Folder that gets links to, or copies of, the kept images."),
    ] = None,
    background: Annotated[
        str, typer.Option(help="Colour under transparent pixels: a name or #rrggbb.")
    ] = "white",
    max_pixels: MaxPixelsOption = MAX_PIXELS,
    allow_truncated: TruncatedOption = False,
    colour: ColourOption = Colour.srgb,
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
        typer.Option("--ray-workers", min=1, help="With --ray: how many; default: all that fit."),
    ] = None,
) -> None:
    """Score the quality of images: 0 to 1, higher is better.

    An image that cannot be read gives a row with an error, and exit code 1 at the end; otherwise an
    image below --min or --min-percentile gives exit code 3. Rows are written as they come: after a
    kill or Ctrl-C the same command scores the images without a row. A csv or jsonl file grows as
    FILE.part, and replaces FILE when it is complete.

    A signature in the results, or on stderr, states the settings that the scores depend on.
    """
    from qualiclip_metric.sources.arguments import open_sources

    if not (paths or from_file):
        fail("expected images, folders, patterns, tables, shards, or --from-file LIST")
    try:
        output = OutputOptions(
            out, choose_format(out, form), raw=raw, bom=bom, sort=sort, overwrite=overwrite,
            retry_errors=retry_errors,
        )  # fmt: skip
        if ray is not None:
            _check_ray(output, html, copy_kept)
        sources = open_sources(
            paths or (), from_file=from_file or (), recursive=recursive, column=column, root=root
        )
        scoring = ScoreOptions(
            batch_size=batch_size, workers=workers, background=_background(background),
            max_pixels=max_pixels, allow_truncated=allow_truncated, colour=colour.value,
            timeout=timeout, diagnose=diagnose, pairs=pairs, checks=checks,
            reference=_reference(reference, percentile or min_percentile is not None),
            min_score=min_score, min_percentile=min_percentile,
        )  # fmt: skip
        kept = None
        if copy_kept is not None:
            arguments = [*(paths or ()), *("-" for _ in from_file or ())]
            kept = _kept_files(copy_kept, scoring, arguments, root)
        metric_options = MetricOptions(
            model, precision.value, engine.value, read_prompts(prompts), size
        )
    except (ValueError, OSError) as err:
        fail(err)
    _check_places(output, html)
    if ray is not None:
        from qualiclip_metric.cli.score_ray import score_on_ray

        code = score_on_ray(
            ray, sources, output, metric_options, scoring, device, cpus_per_worker, ray_workers
        )
    else:
        from qualiclip_metric.cli.score_local import LocalRun

        code = LocalRun(sources, output, metric_options, scoring, device, html, kept).run()
    raise typer.Exit(code)


def _check_ray(output: OutputOptions, html: Path | None, copy_kept: Path | None) -> None:
    if not output.to_parts:
        raise ValueError(
            f"--ray writes a folder of Parquet parts: expected --out FOLDER/, got {output.out}"
        )
    if html is not None:
        raise ValueError("--html needs thumbnails of all images here: leave out --ray or --html")
    if copy_kept is not None:
        raise ValueError("--copy-kept copies on this machine: leave out --copy-kept or --ray")


def _reference(path: Path | None, wanted: bool) -> "Reference | None":
    if path is None and not wanted:
        return None
    from qualiclip_metric.reference import Reference, shipped

    return shipped() if path is None else Reference.load(path)


def _kept_files(
    folder: Path, scoring: ScoreOptions, arguments: list[str], root: str
) -> "KeptFiles":
    from qualiclip_metric.scoring.kept_files import KeptFiles

    if not scoring.bar:
        raise ValueError("--copy-kept: expected --min SCORE or --min-percentile P, got neither")
    return KeptFiles(folder, arguments, root)


def _check_places(output: OutputOptions, html: Path | None) -> None:
    """Check that results can be written before a model is loaded."""
    from qualiclip_metric.scoring.results import check_output

    try:
        check_output(output)
    except (ValueError, OSError) as err:
        fail(f"--out: {error_text(err)}")
    try:
        if html is not None:
            check_writable(html)
    except OSError as err:
        fail(f"--html: {error_text(err)}")


def _background(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as err:
        raise ValueError(
            f"--background: expected a colour such as white, black or #8080ff, got {text!r}"
        ) from err
    return red, green, blue
