"""The memory of `qualiclip score`: measured on a real command, and the ratio that is printed."""

import sys

import pytest
from typer.testing import CliRunner

from benchmarks.cli.speed import app
from benchmarks.speed import memory
from benchmarks.speed.memory import Memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="resource usage is POSIX")


def test_the_command_prints_figures_and_ratio() -> None:
    ran = CliRunner().invoke(app, ["memory", "--paths", "3", "--out", "scores/"])
    assert ran.exit_code == 0, ran.output
    assert "--out scores/" in ran.output
    assert "3 paths: " in ran.output
    assert "1.000 at most, 1.000 at the end" in ran.output


def test_a_command_that_fails_is_no_figure() -> None:
    with pytest.raises(ValueError, match="of 1 paths ended with 2"):
        memory.measure([1], "no/such/folder/s.csv")


def test_the_ratio_is_that_of_the_last_to_the_first() -> None:
    lines = memory.text([Memory(1, 100.0, 80.0, 1.0), Memory(2000, 110.0, 100.0, 4.0)])
    assert "2,000 paths: 110 MiB resident at most, 100 MiB at the end, 4 s, 500 images/s" in lines
    assert lines.endswith("1.100 at most, 1.250 at the end")
