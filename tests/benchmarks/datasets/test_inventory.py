"""`inventory`: which data sets are on the disk."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.datasets import SPECS, DatasetError, inventory, load, parse
from tests.benchmarks.datasets.miniatures import koniq, picture, tid2013, uhd_iqa


def test_inventory_states(tmp_path: Path) -> None:
    koniq(tmp_path / "koniq10k")
    (tmp_path / "koniq10k/1024x768/10001.jpg").unlink()
    picture(tmp_path / "koniq10k/1024x768/stray.jpg")
    (tmp_path / "kadid10k").mkdir()
    tid2013(tmp_path / "tid2013")
    shutil.rmtree(tmp_path / "tid2013/distorted_images")
    states = {status.name: status for status in inventory(tmp_path)}
    assert set(states) == set(SPECS)
    part = states["koniq"]
    assert (part.state, part.found, part.labelled, part.unlabelled) == ("partial", 1, 2, 1)
    assert "1024x768/10001.jpg" in part.detail
    assert states["koniq-512"].state == "partial"
    assert "list 2 of the release's 10073" in states["koniq-512"].detail
    for name, state, word in (
        ("kadid", "broken", "dmos.csv"), ("tid2013", "broken", "without images"),
        ("spaq", "absent", "github.com/h4nwei/SPAQ"),
    ):  # fmt: skip
        assert states[name].state == state
        assert word in states[name].detail


def test_a_size_that_is_not_there_is_absent_with_how_to_make_it(tmp_path: Path) -> None:
    koniq(tmp_path / "koniq10k")
    shutil.rmtree(tmp_path / "koniq10k/512x384")
    states = {status.name: status for status in inventory(tmp_path)}
    assert (states["koniq"].found, states["koniq-512"].state) == (2, "absent")
    assert "-resize 50%" in states["koniq-512"].detail
    with pytest.raises(DatasetError, match="-resize 50%"):
        load(parse(f"koniq-512={tmp_path / 'koniq10k'}"))


def test_inventory_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uhd_iqa(tmp_path / "elsewhere")
    monkeypatch.setitem(SPECS, "uhd-iqa", replace(SPECS["uhd-iqa"], count=2))
    found = {s.name: s for s in inventory(None, {"uhd-iqa": tmp_path / "elsewhere"})}
    assert found["uhd-iqa"].state == "complete"
    assert not load(parse(f"uhd-iqa={tmp_path / 'elsewhere'}")).subset
