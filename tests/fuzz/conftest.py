"""Options of `pytest tests/fuzz`, and the undamaged files that it starts from."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from qualiclip_metric.checkpoints import Checkpoint, save
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.sample_photos import sample_photo

FORMATS = {
    "JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif",
    "BMP": "bmp", "TIFF": "tif", "PPM": "ppm", "TGA": "tga",
}  # fmt: skip
MODES = ("RGB", "L", "P", "RGBA")
SIDE = 96  # px, the longer side of an image


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("damaged files")
    group.addoption("--files", type=int, default=60, help="Damaged files of each kind.")
    group.addoption("--seed", type=int, default=0, help="Of the damage.")


@pytest.fixture
def files(request: pytest.FixtureRequest) -> int:
    """Number of damaged files of each kind; the default where only `pytest` was called."""
    count: int = request.config.getoption("--files", 60)
    return count


@pytest.fixture
def fuzz_seed(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("--seed", 0)
    return number


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos of scikit-image in eight formats, each in all modes that it has."""
    folder, written = tmp_path_factory.mktemp("images"), []
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
                written.append(folder / f"{name}-{mode}.{suffix}")
                written[-1].write_bytes(buffer.getvalue())
    return written


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A random `lite` in our own format, and torch files: tensors, and a number (old layout)."""
    folder = tmp_path_factory.mktemp("checkpoints")
    tensors, number = folder / "tensors.pth", folder / "number.pth"
    torch.save({"params": {"prompt_learner.ctx": torch.zeros(16, 512)}}, tensors)
    torch.save({"qualiclip_metric": 5}, number, _use_new_zipfile_serialization=False)
    return [_random_lite(folder / "lite.safetensors"), tensors, number]


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Label files beside the images that they name."""
    folder = tmp_path_factory.mktemp("labels")
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        Image.new("RGB", (32, 32)).save(folder / name)
    head = "image,dmos,mos_std,reference,distortion,level,split"
    full = (f"{name},{i}.5,.1,r{i % 2},jpeg,{i},test" for i, name in enumerate(names))
    tables = {
        "plain": ["image,mos", *(f"{name},{i}" for i, name in enumerate(names))],
        "full": [head, *full],
        "quoted": ["image,mos", *(f'"{name}",{i}' for i, name in enumerate(names))],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return [folder / f"{name}.csv" for name in tables]


def _random_lite(path: Path) -> Path:
    """Write a random model of the architecture of `lite`, about 14 MB."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = LiteEncoder()
    rng = torch.Generator().manual_seed(1)
    prompts = torch.randn(len(PROMPTS), 2, encoder.dim, generator=rng)
    model = Checkpoint(
        architecture="lite",
        encoder=encoder.state_dict(),
        prompts=torch.nn.functional.normalize(prompts, dim=-1),
        pairs=PROMPTS,
        training={"random": True, "seed": 0},
    )
    save(model, path)
    return Path(path)
