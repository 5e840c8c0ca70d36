"""`qualiclip reference`: photos -> the JSON file that `qualiclip score --reference` takes."""

from pathlib import Path
from typing import Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    BatchSizeOption,
    Colour,
    ColourOption,
    DeviceOption,
    Engine,
    EngineOption,
    ImagesOption,
    ModelOption,
    Precision,
    PrecisionOption,
    PromptsOption,
    SizeOption,
    WorkersOption,
    out_option,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail
from qualiclip_metric.files import check_writable, error_text
from qualiclip_metric.progress import progress_bar


def reference(
    images: ImagesOption,
    out: Annotated[Path, out_option("JSON file.")],
    name: Annotated[
        str | None,
        typer.Option(help="What the photos are, as in 'everyday photos'; default: photos of FILE."),
    ] = None,
    model: ModelOption = "lite",
    prompts: PromptsOption = None,
    size: SizeOption = None,
    batch_size: BatchSizeOption = 16,
    workers: WorkersOption = None,
    colour: ColourOption = Colour.srgb,
    precision: PrecisionOption = Precision.fp32,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
) -> None:
    """Score photos, and write how their scores are distributed: a scale for other scores.

    The file holds 101 quantiles, no image and no name of one. Photos that cannot be read are left
    out, each with a line on stderr, and the exit code is 1 at the end.
    """
    from qualiclip_metric.reference import Reference
    from qualiclip_metric.scoring import ScoreOptions, score_items
    from qualiclip_metric.scoring.columns import layout_for
    from qualiclip_metric.sources.arguments import open_sources

    try:
        check_writable(out)
        sources = open_sources(images)
        options = ScoreOptions(batch_size, workers, colour=colour.value)
    except (ValueError, OSError) as err:
        fail(err)
    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    scores: list[float] = []
    failed = 0
    try:
        with progress_bar("scoring", sources.count()) as progress:
            for row in score_items(metric, sources.items(), options):
                if row.score is None:
                    failed += 1
                    typer.echo(f"error: {row.key}: {row.error}", err=True)
                else:
                    scores.append(row.score)
                progress.update(len(scores) + failed, failed=failed)
        signature = layout_for(str(metric.signature), options).signature
        made = Reference.of(scores, name or f"photos of {out.stem}", signature)
        made.save(out)
    except KeyboardInterrupt:
        fail("interrupted: nothing was written", INTERRUPTED)
    except (ValueError, OSError) as err:
        fail(error_text(err), DATA_ERROR)
    low, middle, high = (made.quantiles[percent] for percent in (10, 50, 90))
    typer.echo(
        f"{out}: {made.label}, {made.photos} photos; 10 % score below {low:.3f}, half below "
        f"{middle:.3f}, 90 % below {high:.3f}"
    )
    typer.echo(signature, err=True)
    raise typer.Exit(DATA_ERROR if failed else 0)
