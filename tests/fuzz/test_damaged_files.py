"""Damaged files are read, or refused with a reason; nothing else may happen.

    pytest tests/fuzz --files 20000 --seed 3

A crash or a hang ends the process: the file is then `damaged.*` in pytest's temporary folder, and
beside it `hung.txt` says where a hang was.
"""

import faulthandler
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.datasets import DatasetError, load, parse
from qualiclip_metric import checkpoints, create
from qualiclip_metric.decoding.decode import MAX_PIXELS, WHOLE_PIXELS
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring import score_files

HEADER = 64
"""Bytes at the start of a file, where formats keep sizes and types: half of all damage is there."""
EXTREMES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x30\x00")
"""Values at which sizes and offsets often break; the last is 12288 in 32 bits."""
CELLS = (
    "", " ", ".", "..", "nan", "inf", "-inf", "1e999", "0x10", "-1", "true", "../0.png", "/0.png",
    "C:/0.png", "0.PNG", "x" * 5000, "\u202e.png", "0.png\t", '"', "=1+1", "a,b", "\r",
)  # fmt: skip
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
"""Name, mode, side (px) and options of images of one colour: small files whose headers promise
nearly as many pixels as are allowed."""
FAST = {"compress_level": 1}
"""Writing a PNG takes longer than reading it."""
MEGABYTES = 2000
"""Peak memory that a file may take, above that of the process before it."""
SECONDS = 300
"""Time after which a file counts as hung."""


@st.composite
def damaged_bytes(draw: st.DrawFn, samples: list[Path]) -> tuple[str, bytes]:
    """A file with one to six pieces replaced; an empty replacement at the end truncates it."""
    path = draw(st.sampled_from(samples))
    data = bytearray(path.read_bytes())
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3, 6)))):  # small damage reaches further
        near = HEADER if draw(st.booleans()) else len(data)
        start = draw(st.integers(0, max(0, min(near, len(data)) - 1)))
        stop = start + draw(st.sampled_from((0, 1, 4, 16, 64, 256, len(data))))
        piece = bytes(data[start:stop])
        replacement = st.binary(max_size=16) | st.sampled_from((*EXTREMES, b"", 3 * piece))
        if piece:
            bit = st.integers(0, 7)
            replacement |= bit.map(lambda n, p=piece: bytes([p[0] ^ 1 << n]) + p[1:])
        data[start:stop] = draw(replacement)
    return path.suffix, bytes(data)


@st.composite
def damaged_table(draw: st.DrawFn, samples: list[Path]) -> tuple[str, bytes]:
    """A csv with one to six cells replaced, inserted or removed, or rows repeated."""
    rows = [line.split(",") for line in draw(st.sampled_from(samples)).read_text().splitlines()]
    for _ in range(draw(st.integers(1, 6))):
        row = draw(st.sampled_from(rows))
        if draw(st.integers(0, 4)) == 0:
            rows.insert(draw(st.integers(0, len(rows))), list(row))
        start = draw(st.integers(0, len(row)))
        row[start : start + draw(st.integers(0, 1))] = draw(
            st.lists(st.sampled_from(CELLS), max_size=1)
        )
    return ".csv", "\n".join(",".join(row) for row in rows).encode()


@functools.cache
def lite() -> QualiCLIP:
    return create("lite", device="cpu")


def is_refused_image(path: Path) -> bool:
    (result,) = score_files(lite(), [path], workers=1)
    assert result.error is not None or 0 <= result.score <= 1, result
    return result.error is not None


def is_refused_checkpoint(path: Path) -> bool:
    try:
        checkpoints.read(path)
    except checkpoints.CheckpointError as err:
        return bool(str(err))
    return False


def is_refused_table(path: Path) -> bool:
    try:
        load(parse(f"csv={path}"), allow_missing=True)
    except DatasetError as err:
        return bool(str(err))
    return False


def status_megabytes(name: str) -> float:
    """A figure of /proc/self/status, in megabytes (10^6 bytes)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def read_within_limits(is_refused: Callable[[Path], bool], path: Path) -> bool:
    """Read a file, and check that it ends in `SECONDS` and takes less than `MEGABYTES`."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        before = status_megabytes("VmRSS")
    except OSError:  # not Linux, or not allowed: memory is not checked
        before = None
    with (path.parent / "hung.txt").open("w") as log:
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=log)
        try:
            refused = is_refused(path)
        finally:
            faulthandler.cancel_dump_traceback_later()
    if before is not None:
        assert status_megabytes("VmHWM") - before < MEGABYTES
    return refused


@pytest.mark.filterwarnings("ignore")  # decoders warn of damage
@pytest.mark.parametrize(
    ("kind", "damage", "is_refused"),
    [
        ("images", damaged_bytes, is_refused_image),
        ("checkpoints", damaged_bytes, is_refused_checkpoint),
        ("labels", damaged_bytes, is_refused_table),
        ("labels", damaged_table, is_refused_table),
    ],
)
def test_damaged_files_are_read_or_refused(
    kind: str,
    damage: Callable[[list[Path]], st.SearchStrategy[tuple[str, bytes]]],
    is_refused: Callable[[Path], bool],
    files: int,
    fuzz_seed: int,
    request: pytest.FixtureRequest,
) -> None:
    samples: list[Path] = request.getfixturevalue(kind)
    folder = samples[0].parent  # labels name images beside them
    refused = []

    @seed(fuzz_seed)
    @settings(max_examples=files, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(damage(samples))
    def check(file: tuple[str, bytes]) -> None:
        suffix, content = file
        path = folder / f"damaged{suffix}"
        path.write_bytes(content)
        refused.append(read_within_limits(is_refused, path))

    check()
    assert any(refused), "none of the damage was noticed"


@pytest.mark.parametrize("name", BOMBS)
def test_headers_that_promise_all_that_is_allowed(name: str, files: int, tmp_path: Path) -> None:
    if name != "transparent.png" and files < 1000:
        pytest.skip("only the largest is read: pytest tests/fuzz --files 1000 reads all")
    mode, side, options = BOMBS[name]
    most = WHOLE_PIXELS if name.endswith("webp") else MAX_PIXELS
    assert 0.9 * most < side**2 <= most
    image = Image.new(mode, (side, side))
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / name, **(FAST if name.endswith("png") else {}), **options)
    del image
    lite()  # its memory is not the file's
    assert not read_within_limits(is_refused_image, tmp_path / name)
