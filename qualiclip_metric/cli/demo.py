"""`qualiclip demo`: sample photos, clean and degraded, with their scores. Needs no network.

The photos are files of the scikit-image wheel that anyone may use: CC0 or public domain.
"""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from qualiclip_metric.cli.options import DeviceOption, ModelOption, out_option
from qualiclip_metric.cli.terminal import fail
from qualiclip_metric.files import atomic_write, error_text, write_text
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from qualiclip_metric.metric import QualiCLIP

PHOTOS = {
    "astronaut": (0.43, 0.25),
    "chelsea": (0.48, 0.42),
    "rocket": (0.5, 0.78),
    "coffee": (0.55, 0.45),
}
"""Sample photo -> center of the detail that a tile shows, as shares of width and height."""
DISTORTIONS = {
    "gaublur": "Gaussian blur",
    "jpeg": "JPEG",
    "whitenoise": "White noise",
    "darken": "Darkening",
}
"""Distortion -> its name in tables. The picture shows photo k under distortion k."""
TILE = (240, 180)
"""Width and height of a tile, px of the photo itself: reduced, the damage would hardly be seen."""
SEED = 0


class Ladder(NamedTuple):
    """A photo under one distortion: clean first, then levels 1 to 5."""

    photo: str
    distortion: str
    scores: list[float]
    tiles: "list[Image.Image]"


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
    from qualiclip_metric.images import from_array
    from qualiclip_metric.sample_photos import sample_photo

    photos = {name: from_array(sample_photo(name)) for name in PHOTOS}
    metric = load_metric(model, device)
    ladders = []
    with progress_bar("scoring", len(PHOTOS) * len(DISTORTIONS), unit="rows") as progress:
        for name, photo in photos.items():
            for distortion in DISTORTIONS:
                ladders.append(score_ladder(metric, name, photo, distortion))
                progress.update(len(ladders))
    typer.echo(_table(ladders))
    typer.echo(metric.signature, err=True)
    try:
        with atomic_write(out / "demo.png") as scratch:
            _picture(ladders, str(metric.signature)).save(scratch, "png")
        write_text(out / "scores.csv", _csv_text(ladders))
    except OSError as err:
        fail(f"--out: {error_text(err)}")
    typer.echo(f"wrote {out / 'demo.png'} and {out / 'scores.csv'}", err=True)


def score_ladder(metric: "QualiCLIP", name: str, photo: "Tensor", distortion: str) -> Ladder:
    """Degrade a photo by every level of a distortion, and score all versions as a batch."""
    import torch

    from qualiclip_metric.distortions import ladder

    rng = torch.Generator().manual_seed(SEED)
    versions = torch.cat([photo[None], ladder(photo[None], distortion, rng)[:, 0]])  # (6, 3, H, W)
    with torch.inference_mode():
        scores = metric(versions.to(metric.device)).flatten().tolist()
    return Ladder(name, distortion, scores, [crop(img, PHOTOS[name]) for img in versions])


def crop(img: "Tensor", center: tuple[float, float]) -> "Image.Image":
    """Cut a tile out of a photo (3, H, W), with this center as far as the photo reaches."""
    from qualiclip_metric.images import to_picture

    height, width = img.shape[1:]
    left = max(0, min(round(center[0] * width) - TILE[0] // 2, width - TILE[0]))
    top = max(0, min(round(center[1] * height) - TILE[1] // 2, height - TILE[1]))
    return to_picture(img[:, top : top + TILE[1], left : left + TILE[0]])


def _picture(ladders: list[Ladder], signature: str) -> "Image.Image":
    """Draw one ladder of each photo, each under another distortion."""
    from qualiclip_metric.sample_photos import CREDITS
    from qualiclip_metric.tiles import TileRow, draw_grid

    drawn = list(zip(PHOTOS, DISTORTIONS, strict=True))
    rows = [
        TileRow((DISTORTIONS[one.distortion], one.photo), one.tiles, one.scores)
        for one in ladders
        if (one.photo, one.distortion) in drawn
    ]
    titles = ["clean", *(f"level {level}" for level in range(1, len(rows[0].tiles)))]
    about = "Score of the whole photo, 0 to 1, higher is better; tiles show a detail."
    credits = "; ".join(CREDITS[name] for name in PHOTOS)
    return draw_grid(titles, rows, [f"{about} {signature}", f"Photos: {credits}."])


def _table(ladders: list[Ladder]) -> str:
    """Write one line per photo and distortion, one column per level."""
    levels = range(1, len(ladders[0].scores))
    lines = [f"{'photo':<10} {'distortion':<14} {'clean':>6}" + "".join(f"{k:>8}" for k in levels)]
    for one in ladders:
        scores = "".join(f"{score:>8.4f}" for score in one.scores)
        lines.append(f"{one.photo:<10} {DISTORTIONS[one.distortion]:<13}{scores}")
    return "\n".join(lines)


def _csv_text(ladders: list[Ladder]) -> str:
    """Write every score in a row of its own; level 0 is the clean photo."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("photo", "distortion", "level", "score"))
    for one in ladders:
        for level, score in enumerate(one.scores):
            writer.writerow((one.photo, one.distortion, level, f"{score:.6f}"))
    return out.getvalue()
