"""Files that vanish while they are worked on, and two writers of one file."""

import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.datasets import load, parse
from benchmarks.metrics.build import build_scorer
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings
from qualiclip_metric import checkpoints
from qualiclip_metric.cli import app
from qualiclip_metric.files import atomic_write
from qualiclip_metric.training import TrainConfig, run_folder, train
from tests.faults.processes import Start


@pytest.fixture
def copies(photos: Path, tmp_path: Path) -> list[Path]:
    """The photos in a folder of the test's own."""
    return sorted(Path(shutil.copytree(photos, tmp_path / "photos")).iterdir())


# --- vanishing files -------------------------------------------------------------------------


def test_an_image_that_vanishes_before_the_benchmark_scores_it(
    copies: list[Path], tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    rows = (f"photos/{path.name},{count}\n" for count, path in enumerate(copies))
    labels.write_text("image,mos\n" + "".join(rows))
    dataset = load(parse(f"csv={labels}"))
    frame = runner.prepare(dataset, tmp_path / "results")
    copies[1].unlink()
    settings = Settings("sharpness", threads=1)
    result = runner.run(build_scorer("sharpness"), settings, dataset, frame, tmp_path / "results")
    assert (result.computed, result.failed, result.stopped) == (5, 1, "")


def test_a_photo_that_vanishes_while_training(
    copies: list[Path], random_lite: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        steps=3, batch_size=1, crop_size=64, workers=0, precision="fp32", validate_share=0.0
    )

    def lose(report: object) -> None:
        if getattr(report, "phase", "") == "training":
            for path in copies[:2]:
                path.unlink(missing_ok=True)

    model = train(config, copies, tmp_path / "run", pretrained=random_lite, report=lose)
    assert checkpoints.read(model).training["step"] == 3


# --- two writers -----------------------------------------------------------------------------


def test_two_writers_of_one_file_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # whose block ended last
    assert list(tmp_path.iterdir()) == [path]


WAITS = """
import time
from pathlib import Path

def waits(images):
    while not Path(__file__).with_name("go").exists():
        time.sleep(0.01)
    return images.mean((1, 2, 3))
waits.signature = "waits|v1"
"""


def test_a_second_benchmark_run_of_the_same_scores_is_refused(
    start: Start, labels: Path, tmp_path: Path
) -> None:
    (tmp_path / "waits_metric.py").write_text(WAITS)
    words = (
        "run", "--metric", "waits_metric:waits", "--dataset", f"csv={labels}",
        "--out", tmp_path / "results", "--resamples", "0", "--splits", "0",
    )  # fmt: skip
    first = start("benchmarks", *words, path=tmp_path)
    first.wait_for(lambda: any(tmp_path.glob("results/*/waits*.lock")))
    code, errors = start("benchmarks", *words, path=tmp_path).wait()
    (tmp_path / "go").touch()
    assert code == 2
    assert "another run" in errors
    code, errors = first.wait()
    assert code == 0, errors


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stopping a process is POSIX")
def test_a_second_training_in_one_folder_is_refused(
    start: Start, photos: Path, random_lite: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    settings = ("steps=1000", "batch_size=1", "crop_size=64", "workers=0", "precision=fp32")
    words = [
        "train", "--images", str(photos), "--pretrained", str(random_lite), "--out", str(out),
        *(word for one in settings for word in ("--set", one)),
    ]  # fmt: skip
    first = start("qualiclip_metric", *words)
    first.wait_for((out / run_folder.STATE).exists)
    first.send(signal.SIGSTOP)  # in the middle of its steps, for as long as this takes
    second = CliRunner().invoke(app, [*words, "--resume"])
    assert second.exit_code == 1
    assert f"another training writes to {out}" in second.stderr
    first.end(signal.SIGKILL)
    with run_folder.own_folder(out):  # the claim of a killed run is gone
        assert run_folder.load_state(out)["step"] < 1000
