"""Commands killed while they work: what was there stays, what was done counts, reruns agree."""

import filecmp
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.results import folder as results
from qualiclip_metric import checkpoints
from qualiclip_metric.cli import app
from qualiclip_metric.training import run_folder
from tests.faults.processes import Start, children_of, wait_until_gone

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub

pytestmark = pytest.mark.slow
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NAMES = 500
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
"""Exit code of the commands that clean up: 128 + the signal's number."""


def signals(*numbers: signal.Signals) -> pytest.MarkDecorator:
    """Parametrise a test by the signal that ends its command."""
    return pytest.mark.parametrize("number", numbers, ids=lambda number: number.name)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the processes started here: other numbers of threads differ in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scratch(folder: Path) -> list[Path]:
    """Files that are being written, or were when the writer was killed."""
    return list(folder.glob(".*.part"))


def run(*words: object) -> None:
    outcome = CliRunner().invoke(app, [str(word) for word in words])
    assert outcome.exit_code == 0, outcome.output


# --- score -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names of two images: work enough to be ended in the middle of it."""
    folder = tmp_path_factory.mktemp("many")
    photos = [folder.with_name(name) for name in ("first.png", "second.png")]
    Image.linear_gradient("L").resize((32, 32)).save(photos[0])
    Image.radial_gradient("L").resize((32, 32)).save(photos[1])
    for count in range(NAMES):
        os.link(photos[count % 2], folder / f"{count:0100}.png")
    return folder


@pytest.fixture(scope="module")
def scored(many: Path, random_lite: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Scores that an uninterrupted command writes."""
    out = tmp_path_factory.mktemp("scored") / "scores.csv"
    run("score", many, "-m", random_lite, "-o", out)
    assert len(pd.read_csv(out)["score"].unique()) == 2
    return out.read_bytes()


def has_rows(partial: Path) -> bool:
    """Whether an unfinished file has more than its line of names."""
    return partial.exists() and partial.read_bytes().count(b"\n") > 1


@pytest.mark.parametrize(
    ("number", "old"), [*((number, "complete\n") for number in SIGNALS), (signal.SIGTERM, None)]
)
def test_score(
    start: Start,
    number: signal.Signals,
    old: str | None,
    many: Path,
    scored: bytes,
    random_lite: Path,
    tmp_path: Path,
) -> None:
    out, partial = tmp_path / "scores.csv", tmp_path / "scores.csv.part"
    if old is not None:
        out.write_text(old)
    words = ("score", many, "-m", random_lite, "-o", out)
    process = start("qualiclip_metric", *words, "--batch-size", "1")
    process.wait_for(lambda: has_rows(partial))
    code, errors = process.end(number)
    assert code == CODES[number]
    assert "Traceback" not in errors
    assert (out.read_text() if out.exists() else None) == old
    assert scratch(tmp_path) == []
    if number != signal.SIGKILL:  # that may end it in the middle of a row
        rows = pd.read_csv(partial)
        assert 0 < len(rows) < NAMES
        assert rows["score"].notna().all()
        assert f"interrupted: {len(rows)} of {NAMES} images done" in errors
    run(*words)
    assert out.read_bytes() == scored
    assert {path.name for path in tmp_path.iterdir()} == {".scores.csv.lock", "scores.csv"}


@signals(signal.SIGKILL, signal.SIGINT)
def test_parts(
    start: Start, number: signal.Signals, many: Path, random_lite: Path, tmp_path: Path
) -> None:
    out, first = tmp_path / "scores", sorted(many.iterdir())[:9]
    options = ("-m", random_lite, "-o", f"{out}/")
    run("score", *first, *options)
    parts = list(out.iterdir())
    (tmp_path / ".scores.lock").unlink()  # made again by the next command
    words = ("score", many, *options)
    process = start("qualiclip_metric", *words)
    process.wait_for((tmp_path / ".scores.lock").exists)
    code, errors = process.end(number)
    assert code == CODES[number]
    assert "Traceback" not in errors
    run(*words)
    rows = pd.read_parquet(out)
    assert sorted(rows["key"]) == sorted(str(path) for path in many.iterdir())
    assert rows["score"].notna().all()
    assert sum(len(pd.read_parquet(part)) for part in parts) == 9  # scored once
    run(*words)  # nothing is left to do
    assert len(pd.read_parquet(out)) == NAMES


@signals(signal.SIGTERM, signal.SIGINT)
def test_score_that_waits_for_a_list(
    start: Start, number: signal.Signals, many: Path, random_lite: Path, tmp_path: Path
) -> None:
    pipe, out = tmp_path / "list", tmp_path / "scores.csv"
    os.mkfifo(pipe)
    first = next(many.iterdir())
    process = start("qualiclip_metric", "score", "--from-file", pipe, "-m", random_lite, "-o", out)
    process.wait_for(Path(f"{out}.part").exists)
    with pipe.open("w") as names:  # opens once the command reads
        names.write(f"{first}\n")
        names.flush()
        code, errors = process.end(number)
    assert code == CODES[number]
    assert "interrupted: " in errors
    assert "Fatal" not in errors


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_the_decoder_ends_with_a_score_that_is_killed(
    start: Start, many: Path, random_lite: Path, tmp_path: Path
) -> None:
    words = ("score", many, "-m", random_lite, "-o", tmp_path / "s.csv", "--timeout", "60")
    process = start("qualiclip_metric", *words)
    process.wait_for(lambda: has_rows(tmp_path / "s.csv.part"))
    children = children_of(process)
    assert children
    process.end(signal.SIGKILL)
    wait_until_gone(children)


# --- train -----------------------------------------------------------------------------------

SETTINGS = (
    "steps=8", "batch_size=1", "crop_size=64", "workers=0", "precision=fp32",
    "validate_share=0.3", "validate_every=8", "checkpoint_every=2", "learning_rate=1e-3",
)  # fmt: skip


def training(photos: Path, origin: Path, out: Path) -> list[object]:
    words: list[object] = ["train", "--images", photos, "--pretrained", origin, "--out", out]
    return [*words, *(word for one in SETTINGS for word in ("--set", one))]


@pytest.fixture(scope="module")
def trained(photos: Path, random_lite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("trained")
    run(*training(photos, random_lite, out))
    return out


@signals(signal.SIGKILL, signal.SIGTERM)
def test_train(
    start: Start,
    number: signal.Signals,
    photos: Path,
    random_lite: Path,
    trained: Path,
    tmp_path: Path,
) -> None:
    words = training(photos, random_lite, tmp_path)
    process = start("qualiclip_metric", *words)
    state, versions = tmp_path / run_folder.STATE, set()

    def saved_twice() -> bool:
        versions.update(path.stat().st_mtime_ns for path in tmp_path.glob(state.name))
        return len(versions) >= 2  # before the first step, and after the second

    process.wait_for(saved_twice)
    code, errors = process.end(number)
    assert code == CODES[number]
    assert "Traceback" not in errors
    assert 2 <= run_folder.load_state(tmp_path)["step"] < 8
    if number != signal.SIGKILL:
        assert scratch(tmp_path) == []
    run(*words, "--resume")
    for name in (run_folder.MODEL, run_folder.LOG):
        assert filecmp.cmp(tmp_path / name, trained / name, shallow=False), name


# --- export ----------------------------------------------------------------------------------


@signals(signal.SIGKILL, signal.SIGTERM)
def test_export(start: Start, number: signal.Signals, random_lite: Path, tmp_path: Path) -> None:
    out = tmp_path / "lite.pt"
    out.write_text("the one before")
    words = ("export", out, "--format", "torchscript", "-m", random_lite)
    process = start("qualiclip_metric", *words)
    process.wait_for(lambda: bool(scratch(tmp_path)))
    code, errors = process.end(number)
    assert code == CODES[number]
    assert "Traceback" not in errors
    assert out.read_text() == "the one before"
    assert bool(scratch(tmp_path)) == (number == signal.SIGKILL)
    if number == signal.SIGKILL:
        run(*words)  # checked against torch before it is put in place
        assert out.read_bytes()[:2] == b"PK"


# --- benchmark -------------------------------------------------------------------------------

STOPS = """
import time
from pathlib import Path

calls = 0
def stops(images):
    global calls
    calls += 1
    while calls == 3 and not Path(__file__).with_name("go").exists():
        time.sleep(0.01)
    return images.mean((1, 2, 3))
stops.signature = "stops|v1"
"""


@signals(signal.SIGKILL, signal.SIGINT)
def test_benchmark(
    start: Start,
    number: signal.Signals,
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "stops_metric.py").write_text(STOPS)

    def words(out: str) -> list[str]:
        return [
            "run", "--metric", "stops_metric:stops", "--dataset", f"csv={labels}", "--batch-size",
            "1", "--out", str(tmp_path / out), "--resamples", "0", "--splits", "0",
        ]  # fmt: skip

    process = start("benchmarks", *words("killed"), path=tmp_path)
    # header and two rows; the metric waits in its third call
    process.wait_for(
        lambda: any(p.read_bytes().count(b"\n") == 3 for p in tmp_path.glob("killed/*/*.jsonl"))
    )
    code, errors = process.end(number)
    assert code == CODES[number]
    assert "Traceback" not in errors
    assert ("goes on" in errors) == (number == signal.SIGINT)

    (tmp_path / "go").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for out in ("killed", "whole"):
        main_ends_well(words(out))
    pd.testing.assert_frame_equal(
        *(results.load(tmp_path / out).drop(columns="digest") for out in ("killed", "whole"))
    )
    (rows,) = (file.rows for file in results.score_files(tmp_path / "killed", "labels"))
    assert len(rows) == 5


def main_ends_well(words: list[str]) -> None:
    try:
        main(words)
    except SystemExit as err:
        assert not err.code


# --- download --------------------------------------------------------------------------------

BODY = bytes(range(256)) * 1200


@signals(signal.SIGKILL, signal.SIGTERM)
def test_download(start: Start, number: signal.Signals, hub: "Hub", tmp_path: Path) -> None:
    hub.files["chaofengc/IQA-PyTorch-Weights/QualiCLIP.pth"] = BODY
    hub.hold = threading.Event()
    process = start("qualiclip_metric", "weights", "fetch", "qualiclip", fresh=True)
    try:
        process.wait_for(hub.held.is_set)
        code, errors = process.end(number)
    finally:
        hub.hold.set()
    assert code == CODES[number]
    assert "Traceback" not in errors
    assert checkpoints.locate("qualiclip") is None
    hub.hold = None
    assert checkpoints.resolve("qualiclip").read_bytes() == BODY
