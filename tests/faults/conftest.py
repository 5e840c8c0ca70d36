"""Photos, commands to end, a hub on this machine, and disks that are small or read-only."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faults.processes import Command, Start
from tests.qualiclip_metric.conftest import home, hub

__all__ = ["home", "hub"]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five images of coarse noise, 80x90."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(5):
        coarse = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((90, 80)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def labels(photos: Path) -> Path:
    """A label file of the photos."""
    path = photos.parent / "labels.csv"
    rows = (f"{photos.name}/{number}.png,{number}\n" for number in range(5))
    path.write_text("image,mos\n" + "".join(rows))
    return path


@pytest.fixture
def start() -> Iterator[Start]:
    """Begins commands; those that still run when the test is over are ended."""
    with ExitStack() as commands:
        yield lambda *words, **options: commands.enter_context(closing(Command(*words, **options)))


Disk = Callable[..., None]
"""Mounts again with other options, such as ``disk("size=4m")`` or ``disk("ro")``."""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Disk]]:
    """A memory disk of 256 KB, and what changes it; skipped where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", folder):
        pytest.skip("a tmpfs cannot be mounted here: that takes Linux and the right to")

    def remount(options: str) -> None:
        assert _mount("-o", f"remount,{options}", folder)

    yield folder, remount
    subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(*words: str | Path) -> bool:
    try:
        return not subprocess.run(["mount", *words], check=False, capture_output=True).returncode
    except OSError:  # no such command
        return False


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; its path."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                continue
    return path
