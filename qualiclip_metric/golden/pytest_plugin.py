"""pytest plugin (entry point group `pytest11`): the fixture `metric_golden`.

It is loaded in every pytest run of an environment that has this package, so it imports nothing
heavy, and adds one fixture and one option.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qualiclip_metric import golden


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--metric-golden-freeze`."""
    parser.getgroup("qualiclip-metric").addoption(
        "--metric-golden-freeze",
        action="store_true",
        help="write the golden files of metric_golden anew (their tests are skipped)",
    )


@pytest.fixture
def metric_golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a metric with its golden file; a failure lists each score that changed.

    `metric_golden(metric, "lite.json")` takes the path relative to the test's folder, and any
    keyword of `qualiclip_metric.golden.freeze` for the run that freezes. Files are written only
    under `--metric-golden-freeze`, and then the test is skipped.
    """

    def compare(metric: Callable[..., Any], path: str | Path, **settings: Any) -> None:
        file = request.path.parent / path
        if request.config.getoption("--metric-golden-freeze"):
            golden.freeze(metric, file, **settings)
            pytest.skip(f"froze {file}")
        command = f"pytest --metric-golden-freeze '{request.node.nodeid}'"
        try:
            expected = golden.load(file)
        except golden.GoldenError as err:
            pytest.fail(f"{err}\nfreeze with: {command}", pytrace=False)
        report = golden.check(metric, expected, signature=settings.get("signature"))
        if not report.ok:
            pytest.fail(report.describe(command), pytrace=False)

    return compare
