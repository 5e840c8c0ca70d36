"""Full and read-only disks: one line says so, and what was there stays."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.results import folder as results
from benchmarks.results.store import Key, Row, Store
from qualiclip_metric import checkpoints, scoring
from qualiclip_metric.cli import app
from qualiclip_metric.scoring import columns
from qualiclip_metric.training import TrainConfig, run_folder, train
from tests.faults.conftest import Disk, fill

if TYPE_CHECKING:
    from tests.qualiclip_metric.conftest import Hub


def refused(*words: object, code: int) -> str:
    """Stderr of a command that says in one line what is wrong, and ends with a code."""
    outcome = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    assert outcome.exit_code == code
    assert sum("error: " in line for line in outcome.stderr.splitlines()) == 1
    return outcome.stderr


# --- full ------------------------------------------------------------------------------------


def test_score_onto_a_disk_that_fills_up(
    mounted: tuple[Path, Disk], photos: Path, random_lite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = mounted
    out = folder / "scores.csv"
    out.write_text("complete")

    def endless(*args: Any, **options: Any) -> Iterator[columns.Row]:
        return (columns.Row(f"{count:0100}.png", 0.5) for count in range(10_000))

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_items", endless)
        words = ("score", photos, "-m", random_lite, "-o", out)
        assert "No space left" in refused(*words, code=1)
    assert out.read_text() == "complete"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".scores.csv.lock",
        "scores.csv",
        "scores.csv.part",
    ]
    fill(folder)
    monkeypatch.setattr(scoring, "score_items", None)  # full from the start: nothing is scored
    assert "No space left" in refused(*words, code=2)
    assert out.read_text() == "complete"


@pytest.mark.parametrize("form", ["safetensors", "torchscript"])
def test_export_onto_a_full_disk(form: str, mounted: tuple[Path, Disk], random_lite: Path) -> None:
    folder, _ = mounted
    out = folder / "model"
    out.write_text("the one before")
    errors = refused("export", out, "--format", form, "-m", random_lite, code=1)
    assert "No space left" in errors
    assert out.read_text() == "the one before"
    assert [path.name for path in folder.iterdir()] == ["model"]


TINY = TrainConfig(
    steps=4,
    batch_size=1,
    crop_size=64,
    workers=0,
    precision="fp32",
    learning_rate=1e-3,
    validate_share=0.3,
    checkpoint_every=1,
    validate_every=4,
)


def test_train_onto_a_disk_that_fills_up(
    mounted: tuple[Path, Disk], photos: Path, random_lite: Path, tmp_path: Path
) -> None:
    folder, remount = mounted
    remount("size=200m")
    paths = sorted(photos.iterdir())

    def full_after_two(report: Any) -> None:
        if report.phase == "training" and report.step == 2:
            fill(folder)

    with pytest.raises((OSError, RuntimeError), match=r"No space left|write"):
        train(TINY, paths, folder, pretrained=random_lite, report=full_after_two)
    assert run_folder.load_state(folder)["step"] == 2
    (folder / "filler").unlink()
    resumed = train(TINY, paths, folder, pretrained=random_lite, resume=True)
    whole = train(TINY, paths, tmp_path / "whole", pretrained=random_lite)
    assert resumed.read_bytes() == whole.read_bytes()


def test_train_onto_a_full_disk_is_one_line(
    mounted: tuple[Path, Disk], photos: Path, random_lite: Path
) -> None:
    folder, _ = mounted
    refused("train", "--images", photos, "--pretrained", random_lite, "--out", folder, code=1)


FILLS = """
from tests.faults.conftest import fill
from pathlib import Path

calls = 0
def fills(images):
    global calls
    calls += 1
    folder = Path(__file__).with_name("disk")
    if calls == 3 and not Path(__file__).with_name("roomy").exists():
        fill(folder)
    return images.mean((1, 2, 3))
fills.signature = "fills|v1"
"""


def test_benchmark_onto_a_disk_that_fills_up(
    mounted: tuple[Path, Disk],
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = mounted
    (tmp_path / "fills_metric.py").write_text(FILLS)
    monkeypatch.syspath_prepend(tmp_path)

    def run(out: Path) -> object:
        with pytest.raises(SystemExit) as caught:
            main([
                "run", "--metric", "fills_metric:fills", "--dataset", f"csv={labels}",
                "--batch-size", "1", "--out", str(out), "--resamples", "0", "--splits", "0",
            ])  # fmt: skip
        return caught.value.code

    assert run(folder / "results") == 2
    assert "No space left" in capsys.readouterr().err
    (tmp_path / "roomy").touch()
    (folder / "filler").unlink()
    assert not run(folder / "results")
    assert not run(tmp_path / "whole")
    resumed, straight = (results.load(out) for out in (folder / "results", tmp_path / "whole"))
    pd.testing.assert_frame_equal(resumed, straight)


def test_a_journal_on_a_full_disk_loses_no_row_without_a_word(mounted: tuple[Path, Disk]) -> None:
    folder, _ = mounted
    key = Key("set", "metric", "v1", lower_is_better=False, resolution="native")
    row = Row("d0", "x" * 50_000, 0.5, "", 0.1, 8, 8)
    with pytest.raises(OSError, match="No space left"), Store(folder, key) as store:
        for count in range(10):
            store.append([Row(**{**vars(row), "digest": f"d{count}"})])
    written = store.rows()
    assert list(written["digest"]) == [f"d{count}" for count in range(len(written))]
    fill(folder).unlink()
    with Store(folder, key) as store:
        assert len(store.rows()) == len(written) > 0


@pytest.mark.filterwarnings("ignore:Not enough free disk space")
def test_download_onto_a_full_disk(
    mounted: tuple[Path, Disk], hub: "Hub", monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, remount = mounted
    body = os.urandom(2**20)
    hub.files["chaofengc/IQA-PyTorch-Weights/QualiCLIP+_koniq.pth"] = body
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setenv("QUALICLIP_HOME", str(folder / "home"))
    assert "No space left" in refused("weights", "fetch", "qualiclip+", code=1)
    assert checkpoints.locate("qualiclip+") is None
    remount("size=4m")
    assert checkpoints.resolve("qualiclip+").read_bytes() == body


# --- read-only -------------------------------------------------------------------------------


def test_a_read_only_disk_is_noticed_before_the_work(
    mounted: tuple[Path, Disk],
    photos: Path,
    labels: Path,
    random_lite: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, remount = mounted
    old = folder / "old.csv"
    old.write_text("complete")
    remount("ro")
    monkeypatch.setattr(scoring, "score_items", None)
    commands: list[tuple[int, list[object]]] = [
        (2, ["score", photos, "-m", random_lite, "-o", old]),
        (2, ["score", photos, "-m", random_lite, "-o", folder / "new.csv"]),
        (1, ["export", old, "--format", "safetensors", "-m", random_lite]),
        (1, ["train", "--images", photos, "--pretrained", random_lite, "--out", folder / "run"]),
    ]
    for code, words in commands:
        assert "Read-only file system" in refused(*words, code=code)
    with pytest.raises(SystemExit) as caught:
        main(["run", "--metric", "sharpness", "--dataset", f"csv={labels}", "--out", str(folder)])
    assert caught.value.code == 2
    assert "Read-only file system" in capsys.readouterr().err
    assert old.read_text() == "complete"
    assert [path.name for path in folder.iterdir()] == ["old.csv"]


@pytest.mark.usefixtures("hub")
def test_weights_on_a_read_only_disk(
    mounted: tuple[Path, Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, remount = mounted
    remount("ro")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setenv("QUALICLIP_HOME", str(folder / "home"))
    assert "qualiclip: " in refused("weights", "fetch", "qualiclip", code=1)
