"""A kill at any moment, of the run, of its child, of its parent; a metric that hangs."""

import json
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.results import folder as results
from tests.benchmarks.scoring.mini import score

ROOT = Path(__file__).parents[3]

SLOW = """
import time
def slow(images):
    time.sleep(0.15)
    return images.mean((1, 2, 3))
slow.signature = "slow|v1"
"""


def command(mini: Path, out: Path) -> list[str]:
    return [
        "run", "--metric", "slow_metric:slow", "--dataset", f"csv={mini}", "--out", str(out),
        "--batch-size", "2", "--resamples", "0", "--splits", "0", "--workers", "0",
    ]  # fmt: skip


def start(words: list[str], modules: Path) -> subprocess.Popen[bytes]:
    """The benchmark's command in a process of its own, with a folder of metrics on its path."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{modules}{os.pathsep}{ROOT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not ready() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)


def rows(journal: Path) -> int:
    """Whole rows in a journal, its header not counted."""
    return journal.read_bytes().count(b"\n") - 1


def test_kill_and_resume(
    mini: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "slow_metric.py").write_text(SLOW)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(command(mini, killed), tmp_path)
    wait_for(lambda: any(rows(path) >= 4 for path in killed.glob("mini/*.jsonl")), process)
    (journal,) = killed.glob("mini/*.jsonl")
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    kept = [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]]
    assert 4 <= len(kept) < 13

    monkeypatch.syspath_prepend(tmp_path)
    for out, computed in ((killed, 13 - len(kept)), (whole, 13), (killed, 0)):
        with pytest.raises(SystemExit) as caught:
            main(command(mini, out))
        assert caught.value.code == 1  # one image cannot be read
        shown = capsys.readouterr()
        assert f"{computed} computed, {13 - computed} reused, 1 failed" in shown.err
        assert ("nothing to compute" in shown.err) == (computed == 0)
        assert shown.out.startswith("# Summary")
    resumed, straight = (
        pd.read_csv(out / "summary.csv").drop(columns="seconds_per_image")
        for out in (killed, whole)
    )
    pd.testing.assert_frame_equal(resumed, straight)
    pd.testing.assert_frame_equal(results.load(killed), results.load(whole))


# children that die, outlive their parent, or hang

ODD = """
import os, signal, time
from pathlib import Path

def dies(images):
    if Path(__file__).with_name("alive").exists():
        return images.mean((1, 2, 3))
    os.kill(os.getpid(), signal.SIGKILL)
dies.signature = "dies|v1"

def hangs(images):
    if images.shape[-2] == 32 and not Path(__file__).with_name("alive").exists():
        time.sleep(600)
    return images.mean((1, 2, 3))
hangs.signature = "hangs|v1"

def fails(images):
    raise RuntimeError("no such operator\\nmore")
fails.signature = "fails|v1"
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "odd_metric.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_metric", raising=False)
    return tmp_path


def test_a_child_that_is_killed_costs_its_metric_and_no_row(mini: Path, odd: Path) -> None:
    out = odd / "results"
    result, _ = score(mini, out, "odd_metric:dies", timeout=300.0)
    assert "a scoring process of odd_metric:dies died" in result.stopped
    assert (result.computed, result.failed) == (0, 0)
    (odd / "alive").touch()
    result, _ = score(mini, out, "odd_metric:dies")
    assert (result.computed, result.failed, result.stopped) == (13, 1, "")


def test_a_metric_that_hangs_is_stopped_and_keeps_its_rows(mini: Path, odd: Path) -> None:
    out = odd / "results"
    result, table = score(mini, out, "odd_metric:hangs", timeout=2.0, batch_size=2)
    assert "finished no batch in 2 s (--metric-timeout)" in result.stopped
    scores = table.set_index("image")["odd_metric:hangs"]
    assert np.isfinite(scores[["0.png", "3.png", "6.png", "9.png"]]).all()  # the size before
    (file,) = results.score_files(out, "mini")
    errors = file.rows.set_index("image")["error"]
    assert (errors == "no score within 2 s (--metric-timeout)").sum() == 2  # the batch in hand
    assert mp.active_children() == []
    (odd / "alive").touch()
    result, _ = score(mini, out, "odd_metric:hangs", batch_size=2)
    assert (result.not_retried, result.stopped) == (2, "")
    result, table = score(mini, out, "odd_metric:hangs", retry_errors=True)
    assert (result.computed, result.failed) == (3, 1)


def test_children_end_with_a_parent_that_is_killed(mini: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/stat").is_file():
        pytest.skip("children are found in /proc")
    (tmp_path / "slow_metric.py").write_text(SLOW)
    process = start([*command(mini, tmp_path / "results"), "--jobs", "2"], tmp_path)
    wait_for(lambda: any((tmp_path / "results").glob("mini/*.jsonl")), process)
    children = children_of(process.pid)
    assert len(children) >= 2
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(runs, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [child for child in children if runs(child)]


def children_of(pid: int) -> list[Path]:
    """Folders in /proc of a process's children."""
    folders = [path.parent for path in Path("/proc").glob("[0-9]*/stat")]
    return [folder for folder in folders if state(folder)[1:2] == [str(pid)]]


def runs(folder: Path) -> bool:
    """Whether a process is there and no zombie that nobody has waited for."""
    return state(folder)[:1] not in ([], ["Z"])


def state(folder: Path) -> list[str]:
    """State and parent's id, and more, from /proc/PID/stat; nothing where the process is gone."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def test_a_metric_that_fails_everywhere_is_one_row(
    mini: Path, odd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run", "--metric", "odd_metric:fails", "--metric", "sharpness",
        "--dataset", f"csv={mini}", "--out", str(odd / "results"), "--resamples", "0",
        "--splits", "0", "--workers", "0",
    ]  # fmt: skip
    shown = []
    for extra in ([], [], ["--retry-errors"]):
        with pytest.raises(SystemExit) as caught:
            main([*words, *extra])
        assert caught.value.code == 1
        shown.append(capsys.readouterr())
    first, again, retried = shown
    assert "FAILED on every image: RuntimeError: no such operator" in first.err
    assert "sharpness on mini: 13 computed" in first.err
    assert "13 image(s) failed earlier and were not tried again" in again.err
    assert "every image was tried already, 14 without a score" in again.err
    assert "odd_metric:fails on mini: 13 computed, 0 reused, 13 failed" in retried.err
    rows = pd.read_csv(odd / "results" / "summary.csv").set_index("metric")
    assert rows.loc["odd_metric:fails", "status"].max().startswith("FAILED on all 14 image(s)")
    assert rows.loc["sharpness", "srcc"].notna().any()
