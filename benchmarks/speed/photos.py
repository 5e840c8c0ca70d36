"""Photos to measure speed on: from folders, or made at run time."""

import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from qualiclip_metric.sample_photos import sample_photo
from qualiclip_metric.sources.folders import find

SIZES = ((512, 512), (500, 500), (321, 481), (481, 321), (384, 512), (683, 512))
"""(height, width) of the photos made at run time: sizes usual in this field's datasets."""


@contextmanager
def photos(folders: Sequence[Path], count: int) -> Iterator[list[Path]]:
    """Yield paths of photos in mixed order; photos made at run time where there is no folder."""
    with tempfile.TemporaryDirectory() as name:
        found = find(folders) if folders else write_photos(Path(name), count)
        random.Random(0).shuffle(found)
        yield found[:count]


@contextmanager
def linked(files: Iterable[Path]) -> Iterator[Path]:
    """Folder of links to photos, for a command that takes a folder."""
    with tempfile.TemporaryDirectory() as name:
        for number, path in enumerate(files):
            Path(name, f"{number:05}{path.suffix}").symlink_to(path.resolve())
        yield Path(name)


def write_photos(folder: Path, count: int = 500, seed: int = 0) -> list[Path]:
    """Write pieces of scikit-image's photos at several scales; one in four is a PNG."""
    rng = random.Random(seed)
    photos = [Image.fromarray(sample_photo(name)) for name in ("astronaut", "coffee", "chelsea")]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(count):
        photo, (height, width) = rng.choice(photos), rng.choice(SIZES)
        share = rng.uniform(0.6, 1.0) * min(photo.width / width, photo.height / height)
        left = rng.uniform(0, photo.width - share * width)
        top = rng.uniform(0, photo.height - share * height)
        box = (left, top, left + share * width, top + share * height)
        piece = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
        path = folder / f"{number:04}{'.png' if number % 4 == 0 else '.jpg'}"
        piece.save(path, quality=rng.randint(75, 95))
        written.append(path)
    return written
