"""Undamaged files to start from: images of eight formats, huge ones, checkpoints, label files."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.reference.seeded import write_lite
from qualiclip_metric.sample_photos import sample_photo

__all__ = ["SAMPLES", "bombs", "checkpoints", "images", "labels"]

FORMATS = {
    "JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif",
    "BMP": "bmp", "TIFF": "tif", "PPM": "ppm", "TGA": "tga",
}  # fmt: skip
MODES = ("RGB", "L", "P", "RGBA")
SIDE = 96  # px, the longer side of an image
BOMBS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "rgb.png": ("RGB", 13_300, {}),
    "transparent.png": ("RGBA", 13_300, {}),
    "palette.png": ("P", 13_300, {"transparency": 0}),
    "deep.png": ("I;16", 13_300, {}),
    "sequential.jpg": ("RGB", 13_300, {}),
    "progressive.jpg": ("RGB", 13_300, {"progressive": True, "subsampling": 0}),
    "inks.jpg": ("CMYK", 13_300, {}),
    "rgb.webp": ("RGB", 9_400, {}),
    "palette.gif": ("P", 13_300, {}),
}
"""Name, mode, side in px and options of images that are all of one colour: a few hundred KB whose
headers promise nearly as many pixels as are allowed."""


def images(folder: Path) -> list[Path]:
    """Photos of scikit-image in every format and mode that goes with it.

    Args:
        folder: Where to write them.

    Returns:
        Their paths.
    """
    written = []
    for name in ("astronaut", "chelsea"):
        photo = Image.fromarray(sample_photo(name))
        photo.thumbnail((SIDE, SIDE))
        for kind, suffix in FORMATS.items():
            for mode in MODES:
                buffer = io.BytesIO()
                try:
                    photo.convert(mode).save(buffer, kind)
                except OSError:  # the format has no such mode
                    continue
                path = folder / f"{name}-{mode}.{suffix}"
                path.write_bytes(buffer.getvalue())
                written.append(path)
    return written


def checkpoints(folder: Path) -> list[Path]:
    """A random `lite` in our own format, and small torch files: tensors alone, and a number.

    Args:
        folder: Where to write them.

    Returns:
        Their paths.
    """
    lite = write_lite(folder / "lite.safetensors")
    tensors, number = folder / "tensors.pth", folder / "number.pth"
    torch.save({"params": {"prompt_learner.ctx": torch.zeros(16, 512)}}, tensors)
    torch.save({"qualiclip_metric": 5}, number)
    return [lite, tensors, number]


def labels(folder: Path) -> list[Path]:
    """Label files of one's own beside the images that they name.

    Args:
        folder: Where to write them.

    Returns:
        Paths of csv files.
    """
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        Image.new("RGB", (32, 32)).save(folder / name)
    plain = folder / "plain.csv"
    plain.write_text("image,mos\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    full = folder / "full.csv"
    head = "image,dmos,mos_std,reference,distortion,level,split\n"
    rows = (f"{name},{i}.5,.1,r{i % 2},jpeg,{i},test\n" for i, name in enumerate(names))
    full.write_text(head + "".join(rows))
    quoted = folder / "quoted.csv"
    rows = (f"{json.dumps(name)},{i}\n" for i, name in enumerate(names))
    quoted.write_text("image,mos\n" + "".join(rows))
    return [plain, full, quoted]


def bombs(folder: Path) -> list[Path]:
    """Small files whose headers promise nearly as much as is allowed; each is true to its header.

    Args:
        folder: Where to write them.

    Returns:
        Their paths.
    """
    written = []
    for name, (mode, side, options) in BOMBS.items():
        image = Image.new(mode, (side, side))
        if mode == "P":
            image.putpalette(bytes(range(256)) * 3)
        image.save(folder / name, **options)
        written.append(folder / name)
    return written


SAMPLES = {"bombs": bombs, "images": images, "checkpoints": checkpoints, "labels": labels}
"""Kind of file -> what writes the undamaged ones."""
