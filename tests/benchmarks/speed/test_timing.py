"""Calls and commands are timed; no duration is asserted."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks.speed.timing import call_seconds, images_per_second, time_command


def test_calls_are_repeated_with_torch_s_own_threads() -> None:
    threads: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        call_seconds(lambda: threads.append(torch.get_num_threads()), least=0.001)
    finally:
        torch.set_num_threads(before)
    assert len(threads) > 1 and set(threads) == {2}


def test_the_start_up_is_in_no_rate() -> None:
    assert images_per_second({200: 15.0, 400: 25.0}) == 20
    assert math.isnan(images_per_second({200: 15.0, 400: 14.0}))


pytest.importorskip("resource", reason="resource usage is POSIX")


@pytest.mark.parametrize(("own", "known"), [(0, True), (2**40, False)])
def test_a_peak_is_given_unless_this_process_hides_it(
    own: int, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrusage", lambda _: SimpleNamespace(ru_maxrss=own))
    found = time_command([sys.executable, "-c", "pass"])
    assert math.isfinite(found.peak) is known


def test_a_command_that_fails_is_an_error_with_its_last_words() -> None:
    code = "import os, sys; sys.exit(os.environ['WORDS'])"
    with pytest.raises(ValueError, match="failed: broken"):
        time_command([sys.executable, "-c", code], WORDS="broken")
