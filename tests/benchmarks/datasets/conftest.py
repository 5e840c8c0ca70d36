"""Short folders of LIVE, and no data sets of the machine's own."""

import pytest

from benchmarks.datasets import readers
from benchmarks.datasets.load import ROOT_VARIABLE
from tests.benchmarks.datasets.miniatures import LIVE_PARTS


@pytest.fixture(autouse=True)
def short_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LIVE_PARTS", LIVE_PARTS)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
