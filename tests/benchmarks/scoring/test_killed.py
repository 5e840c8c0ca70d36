"""A kill of the run's child or parent; a metric that hangs. A kill of the run: tests/faults."""

import multiprocessing as mp
import signal
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.results import folder as results
from tests.benchmarks.scoring.mini import score
from tests.faults.processes import Command, children_of, wait_until_gone

SLOW = """
import time
def slow(images):
    time.sleep(0.15)
    return images.mean((1, 2, 3))
slow.signature = "slow|v1"
"""


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


@pytest.mark.usefixtures("forked")
def test_a_killed_child_stops_its_metric_and_loses_no_row(mini: Path, odd: Path) -> None:
    out = odd / "results"
    result, _ = score(mini, out, "odd_metric:dies", timeout=300.0)
    assert "odd_metric:dies died" in result.stopped
    assert (result.computed, result.failed) == (0, 0)
    (odd / "alive").touch()
    result, _ = score(mini, out, "odd_metric:dies")
    assert (result.computed, result.failed, result.stopped) == (13, 1, "")


@pytest.mark.usefixtures("forked")
def test_a_metric_that_hangs_is_stopped_and_keeps_its_rows(mini: Path, odd: Path) -> None:
    out = odd / "results"
    result, table = score(mini, out, "odd_metric:hangs", timeout=2.0, batch_size=2)
    assert "--metric-timeout" in result.stopped
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


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
def test_children_end_with_a_parent_that_is_killed(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "slow_metric.py").write_text(SLOW)
    words = (
        "run", "--metric", "slow_metric:slow", "--dataset", f"csv={mini}", "--jobs", "2",
        "--out", tmp_path / "results", "--resamples", "0", "--splits", "0",
    )  # fmt: skip
    with closing(Command("benchmarks", *words, path=tmp_path)) as process:
        process.wait_for(lambda: any((tmp_path / "results").glob("mini/*.jsonl")))
        children = children_of(process)
        assert len(children) >= 2
        process.end(signal.SIGKILL)
    wait_until_gone(children)


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
    assert "no such operator" in first.err
    assert "13 computed" in first.err
    assert "13 image(s) failed earlier" in again.err
    assert "14 without a score" in again.err
    assert "0 reused, 13 failed" in retried.err
    rows = pd.read_csv(odd / "results" / "summary.csv").set_index("metric")
    assert rows.loc["odd_metric:fails", "status"].max().startswith("FAILED on all 14 image(s)")
    assert rows.loc["sharpness", "srcc"].notna().any()
