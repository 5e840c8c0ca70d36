"""Progress: what a line says, when lines are printed, the bar on a terminal."""

import io
import sys
from collections.abc import Callable

import pytest

from qualiclip_metric import progress as module
from qualiclip_metric.progress import Progress, progress_bar


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_says_done_failed_rate_and_time_left(clock: Clock) -> None:
    progress = Progress("scoring", 5000)
    assert str(progress) == "0 of 5,000"
    clock.now += 10
    progress.update(1000, failed=3, note="loss 0.1")
    assert str(progress) == "1,000 of 5,000, 3 failed, 100.0 images/s, 0:00:40 left, loss 0.1"


def test_what_was_done_before_a_resume_does_not_count_as_speed(clock: Clock) -> None:
    progress = Progress("scoring", 100, done=90)
    clock.now += 1
    progress.update(95)
    assert str(progress) == "95 of 100, 5.0 images/s, 0:00:01 left"


@pytest.mark.parametrize("show", [True, False])
def test_where_there_is_no_terminal_a_line_comes_every_30_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str], show: bool
) -> None:
    with progress_bar("scoring", 10, show=show) as progress:
        for done in range(10):
            progress.update(done)
            clock.now += 10
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" of")[0] for line in lines] == [f"scoring: {n}" for n in (3, 6, 9)]


def test_a_short_job_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("scoring", 2) as progress:
        progress.update(1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stream", [None, io.StringIO])
def test_stderr_may_be_closed(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], io.StringIO] | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream() if stream else None)
    with progress_bar("scoring", 2) as progress:
        progress.update(1)
    assert progress.done == 1


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("[scoring]", 7) as progress:
        progress.update(3, failed=1, total=8)
    shown = terminal.getvalue()
    assert "[scoring]" in shown
    assert "3 of 8, 1 failed" in shown
    assert "\x1b[2K" in shown  # the line is wiped
