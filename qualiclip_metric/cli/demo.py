"""`qualiclip demo`: sample photos, clean and degraded, with their scores. Needs no network.

The photos are files of the scikit-image wheel that anyone may use: CC0 or public domain.
"""

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from qualiclip_metric.cli.demo_strips import DISTORTIONS, PHOTOS, Strip, diagonal, make_strip
from qualiclip_metric.cli.options import DeviceOption, ModelOption, out_option
from qualiclip_metric.cli.terminal import fail
from qualiclip_metric.files import atomic_write, error_text, write_text
from qualiclip_metric.progress import progress_bar


def demo(
    out: Annotated[Path, out_option("Folder for demo.png and scores.csv.")] = Path(
        "qualiclip-demo"
    ),
    model: ModelOption = "lite",
    device: DeviceOption = "auto",
) -> None:
    """Score four sample photos, clean and degraded at five levels; print a table, draw a picture.

    Higher is better, and each row should fall from left to right.
    """
    from qualiclip_metric.cli._metric import load_metric
    from qualiclip_metric.cli.demo_picture import draw
    from qualiclip_metric.images import from_uint8
    from qualiclip_metric.sample_photos import sample_photo

    photos = [(photo, from_uint8(sample_photo(photo.name))) for photo in PHOTOS]
    metric = load_metric(model, device)
    strips = []
    with progress_bar("scoring", len(PHOTOS) * len(DISTORTIONS), unit="rows") as progress:
        for photo, image in photos:
            for distortion in DISTORTIONS:
                strips.append(make_strip(metric, photo, image, distortion))
                progress.advance()
    typer.echo(table(strips))
    typer.echo(metric.signature, err=True)
    try:
        with atomic_write(out / "demo.png") as scratch:
            picture = draw(diagonal(strips), DISTORTIONS, str(metric.signature))
            picture.save(scratch, "png")
        write_text(out / "scores.csv", csv_text(strips))
    except OSError as err:
        fail(f"--out: {error_text(err)}")
    typer.echo(f"wrote {out / 'demo.png'} and {out / 'scores.csv'}", err=True)


def table(strips: list[Strip]) -> str:
    """One line per photo and distortion, one column per level."""
    levels = range(1, len(strips[0].scores))
    lines = [f"{'photo':<10} {'distortion':<14} {'clean':>6}" + "".join(f"{k:>8}" for k in levels)]
    for entry in strips:
        scores = "".join(f"{value:>8.4f}" for value in entry.scores)
        lines.append(f"{entry.photo.name:<10} {DISTORTIONS[entry.distortion]:<13}{scores}")
    return "\n".join(lines)


def csv_text(strips: list[Strip]) -> str:
    """The same as csv, with every score in a row of its own; level 0 is the clean photo."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("photo", "distortion", "level", "score"))
    for entry in strips:
        for level, value in enumerate(entry.scores):
            writer.writerow((entry.photo.name, entry.distortion, level, f"{value:.6f}"))
    return out.getvalue()
