"""The wait for first scores: measured on real commands."""

import sys

import pytest
from typer.testing import CliRunner

from benchmarks.cli.speed import app
from benchmarks.speed import first
from benchmarks.speed.first import Wait

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="resource usage is POSIX")


def test_the_command_prints_a_row_for_help_and_for_each_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first, "MADE", 2)
    ran = CliRunner().invoke(app, ["first", "--count", "1", "--count", "3", "--engine", "torch"])
    assert ran.exit_code == 0, ran.output
    rows = [line.split("|")[1].strip() for line in ran.output.splitlines() if "|" in line]
    assert rows[2:] == ["qualiclip --help", "1 photo", "3 photos"]


def test_a_command_that_fails_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "MADE", 1)
    with pytest.raises(ValueError, match="--engine no-such-engine failed"):
        first.measure([1], options=["--engine", "no-such-engine"])


def test_the_table_rounds_to_tenths_of_a_second() -> None:
    table = first.text([Wait("1 photo", 2.04, 3.96)])
    assert table.splitlines()[-1] == "| 1 photo | 2.0 | 4.0 |"
