"""What is on the disk."""

from pathlib import Path

import pytest

from benchmarks.datasets import SPECS, inventory, load, parse
from tests.benchmarks.datasets.miniatures import koniq, picture, tid2013, uhd_iqa


def test_inventory_states(tmp_path: Path) -> None:
    koniq(tmp_path / "koniq10k")
    (tmp_path / "koniq10k/1024x768/10004473376.jpg").unlink()
    picture(tmp_path / "koniq10k/1024x768/stray.jpg")
    (tmp_path / "kadid10k").mkdir()
    tid2013(tmp_path / "tid2013")
    for image in (tmp_path / "tid2013/distorted_images").iterdir():
        image.unlink()
    states = {status.name: status for status in inventory(tmp_path)}
    assert set(states) == set(SPECS)
    part = states["koniq"]
    assert (part.state, part.found, part.labelled, part.unlabelled) == ("partial", 1, 2, 1)
    assert "1024x768/10004473376.jpg" in part.detail
    assert states["koniq-512"].state == "partial"
    assert "labels list 2 of the release's 10073" in states["koniq-512"].detail
    assert states["kadid"].state == "broken"
    assert "dmos.csv" in states["kadid"].detail
    assert states["tid2013"].state == "broken"
    assert states["spaq"].state == "absent"
    assert "github.com/h4nwei/SPAQ" in states["spaq"].detail


def test_inventory_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    uhd_iqa(tmp_path / "elsewhere")
    monkeypatch.setitem(SPECS, "uhd-iqa", replace(SPECS["uhd-iqa"], count=2))
    found = {s.name: s for s in inventory(None, {"uhd-iqa": tmp_path / "elsewhere"})}
    assert found["uhd-iqa"].state == "complete"
    assert not load(parse(f"uhd-iqa={tmp_path / 'elsewhere'}")).subset
