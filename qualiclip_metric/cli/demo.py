"""`qualiclip demo`: sample photos, clean and degraded, with their scores. Needs no network.

The photos are files of the scikit-image wheel that anyone may use: CC0 or public domain.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from qualiclip_metric.cli.options import ModelOption
from qualiclip_metric.cli.terminal import fail, progress

if TYPE_CHECKING:
    from torch import Tensor

    from qualiclip_metric.metric import QualiCLIP


class Photo(NamedTuple):
    """A photo of `skimage.data`: its name there, who made it, and the place a tile shows."""

    name: str
    credit: str
    centre: tuple[float, float]  # shares of width and height


PHOTOS = (
    Photo("astronaut", "Eileen Collins by NASA, public domain", (0.43, 0.25)),
    Photo("chelsea", "Chelsea by Stefan van der Walt, CC0", (0.48, 0.42)),
    Photo("rocket", "DSCOVR launch by SpaceX, public domain", (0.5, 0.78)),
    Photo("coffee", "Coffee by Rachel Michetti, CC0", (0.55, 0.45)),
)
DISTORTIONS = {
    "gaublur": "Gaussian blur",
    "jpeg": "JPEG",
    "whitenoise": "White noise",
    "darken": "Darkening",
}
"""Distortions of the demo, one of each of the best-known groups, and their names for people."""
SEED = 0


class Strip(NamedTuple):
    """A photo under one distortion: clean first, then levels 1 to 5."""

    photo: Photo
    distortion: str
    tiles: "Tensor"  # (6, 3, H, W) in [0, 1]
    scores: list[float]


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for demo.png and scores.csv.")
    ] = Path("qualiclip-demo"),
    model: ModelOption = "lite",
) -> None:
    """Score four sample photos, clean and degraded at five levels; print a table, draw a picture.

    Higher is better, and each row should fall from left to right.
    """
    from qualiclip_metric.cli._metric import load_metric
    from qualiclip_metric.cli.demo_picture import draw
    from qualiclip_metric.images import from_uint8
    from qualiclip_metric.sample_photos import sample_photo

    photos = [(photo, from_uint8(sample_photo(photo.name))) for photo in PHOTOS]
    metric = load_metric(model, "cpu")
    strips = []
    with progress("scoring", len(PHOTOS) * len(DISTORTIONS)) as update:
        for photo, image in photos:
            for distortion in DISTORTIONS:
                strips.append(strip(metric, photo, image, distortion))
                update(len(strips))
    typer.echo(table(strips))
    typer.echo(metric.signature, err=True)
    try:
        out.mkdir(parents=True, exist_ok=True)
        draw(diagonal(strips), DISTORTIONS, str(metric.signature)).save(out / "demo.png")
        write_csv(strips, out / "scores.csv")
    except OSError as err:
        fail(f"--out: {err}")
    typer.echo(f"wrote {out / 'demo.png'} and {out / 'scores.csv'}", err=True)


def strip(metric: "QualiCLIP", photo: Photo, image: "Tensor", distortion: str) -> Strip:
    """A photo and its ladder of one distortion, scored as a batch."""
    import torch

    from qualiclip_metric.distortions import ladder

    rng = torch.Generator().manual_seed(SEED)
    tiles = torch.cat([image[None], ladder(image[None], distortion, rng)[:, 0]])
    with torch.inference_mode():
        scores = metric(tiles.to(metric.device)).flatten().tolist()
    return Strip(photo, distortion, tiles, scores)


def diagonal(strips: list[Strip]) -> list[Strip]:
    """One strip of each photo, each under another distortion: the rows of the picture."""
    names = list(DISTORTIONS)
    return [s for s in strips if PHOTOS.index(s.photo) % len(names) == names.index(s.distortion)]


def table(strips: list[Strip]) -> str:
    """One line per photo and distortion, one column per level."""
    levels = range(1, len(strips[0].scores))
    lines = [f"{'photo':<10} {'distortion':<14} {'clean':>6}" + "".join(f"{k:>8}" for k in levels)]
    for entry in strips:
        scores = "".join(f"{value:>8.4f}" for value in entry.scores)
        lines.append(f"{entry.photo.name:<10} {DISTORTIONS[entry.distortion]:<13}{scores}")
    return "\n".join(lines)


def write_csv(strips: list[Strip], path: Path) -> None:
    """The same with every score in a row of its own; level 0 is the clean photo."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("photo", "distortion", "level", "score"))
        for entry in strips:
            for level, value in enumerate(entry.scores):
                writer.writerow((entry.photo.name, entry.distortion, level, f"{value:.6f}"))
