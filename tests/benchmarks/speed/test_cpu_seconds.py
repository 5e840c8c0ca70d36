"""CPU seconds of one thread: every engine is called on every size, and the shortest call counts."""

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli.speed import app
from benchmarks.speed import cpu_seconds


def test_the_shortest_counted_call_of_each_way(monkeypatch):
    monkeypatch.setattr(
        cpu_seconds, "_ways", lambda _: {"modules": calls.append, "x": calls.append}
    )
    calls, clock = [], iter([0, 90, 0, 80, 0, 6, 0, 2, 0, 4, 0, 3])
    monkeypatch.setattr(cpu_seconds.time, "process_time", lambda: next(clock))
    threads = torch.get_num_threads()
    found = cpu_seconds.measure("lite", [(32, 48)], rounds=2)
    assert found["seconds"] == {"modules": [4], "x": [2]}
    assert [tuple(img.shape) for img in calls] == [(1, 3, 32, 48)] * 6
    assert torch.get_num_threads() == threads
    assert cpu_seconds.table(found).splitlines()[-1] == "| x | 2000 (2.00x) |"


def test_the_command_names_processor_engines_and_sizes(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")  # oneDNN would keep a limit for good
    ran = CliRunner().invoke(app, ["cpu", "--size", "32x48", "--size", "64x64", "--rounds", "1"])
    assert ran.exit_code == 0, ran.output
    assert "held to ONEDNN_MAX_CPU_ISA=DEFAULT" in ran.output
    for expected in ("32x48 | 64x64", "| modules |", "| torch fp32 |", "| torch bf16 |"):
        assert expected in ran.output


@pytest.mark.parametrize("size", ["512", "x512", "512x", "512xx512", "5.5x5"])
def test_a_size_that_is_none_is_refused(size):
    ran = CliRunner().invoke(app, ["cpu", "--size", size])
    assert isinstance(ran.exception, ValueError)
    assert f"expected HEIGHTxWIDTH, got {size!r}" in str(ran.exception)


def test_the_input_check_is_a_share_of_the_fastest_way() -> None:
    seconds = {"modules": [0.2], "x": [0.1], cpu_seconds.CHECK: [0.0005]}
    found = {"model": "lite", "rounds": 1, "sizes": [[512, 512]], "seconds": seconds}
    assert cpu_seconds.table(found).splitlines()[-1] == "| input check | 0.50 (0.50%) |"
