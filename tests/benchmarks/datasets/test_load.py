"""From the text of `--dataset` to a data set: folders, forms, one's own csv."""

from pathlib import Path

import pytest

from benchmarks.datasets import DatasetError, load, parse
from benchmarks.datasets.load import ROOT_VARIABLE
from tests.benchmarks.datasets.miniatures import picture, read, spaq


def test_absent_folder_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"github\.com/h4nwei/SPAQ"):
        read("spaq", tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=f"{ROOT_VARIABLE}.*SPAQ.*research only"):
        load(parse("spaq"))


def test_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaq(tmp_path / "SPAQ")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert len(load(parse("spaq")).frame) == 2


def test_parse_forms() -> None:
    assert parse("clive").path is None
    named = parse("clive627:clive=x/y")
    assert (named.label, named.spec, named.path) == ("clive627", "clive", Path("x/y"))
    assert parse("csv=some/mine.csv").label == "mine"
    for text, message in {
        "nope=x": "unknown dataset 'nope'",
        "csv": "csv needs a file",
        "a/b:clive=x": "cannot be a folder name",
        ":clive=x": "cannot be a folder name",
    }.items():
        with pytest.raises(DatasetError, match=message):
            parse(text)


def test_own_csv(tmp_path: Path) -> None:
    picture(tmp_path / "pics/a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "own.csv").write_text("image,mos,split\npics/a.png,1,test\nb.png,2,\n")
    dataset = load(parse(f"csv={tmp_path / 'own.csv'}"))
    assert dataset.label == "own"
    assert not dataset.subset
    assert dataset.frame["split"].tolist() == ["test", ""]
    (tmp_path / "own.csv").write_text("image,dmos\npics/a.png,1\nb.png,2\n")
    assert read("csv", tmp_path / "own.csv")["mos"].tolist() == [-1.0, -2.0]
    (tmp_path / "own.csv").write_text("image,score\npics/a.png,1\n")
    with pytest.raises(DatasetError, match="no column mos"):
        read("csv", tmp_path / "own.csv")
    (tmp_path / "own.csv").write_text("image,mos\n")
    with pytest.raises(DatasetError, match="no images"):
        read("csv", tmp_path / "own.csv")
