"""The pytest fixture `metric_golden`, in a foreign project."""

import pytest

pytest_plugins = ["pytester"]


FOREIGN = """
import torch

class Metric:
    signature = "mine|v1"
    gain = {gain}
    def __call__(self, images):
        return self.gain * images.mean((1, 2, 3))

def test_values(metric_golden):
    metric_golden(Metric(), "golden/mine.json", images=["code/gradient", "code/checker"])
"""


def run_foreign(pytester: pytest.Pytester, gain: float, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_foreign=FOREIGN.format(gain=gain))
    loaded = [] if _installed() else ["-p", "qualiclip_metric.golden.pytest_plugin"]
    return pytester.runpytest(*loaded, "-rfs", *options)


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(
        point.value == "qualiclip_metric.golden.pytest_plugin"
        for point in entry_points(group="pytest11")
    )


def test_fixture_in_a_foreign_project(pytester: pytest.Pytester) -> None:
    missing = run_foreign(pytester, 1.0)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*no golden file*", "*--metric-golden-freeze*"])
    run_foreign(pytester, 1.0, "--metric-golden-freeze").assert_outcomes(skipped=1)
    assert (pytester.path / "golden" / "mine.json").is_file()
    run_foreign(pytester, 1.0).assert_outcomes(passed=1)
    moved = run_foreign(pytester, 1.2)
    moved.assert_outcomes(failed=1)
    moved.stdout.fnmatch_lines(
        ["*mine.json*0 of 2 scores held*", "*code/checker: expected*got*",
         "*freeze again with: pytest --metric-golden-freeze 'test_foreign.py::test_values'*"]
    )  # fmt: skip
