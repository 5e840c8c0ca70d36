"""The same sets in pyiqa's layout."""

from pathlib import Path

import pytest

from benchmarks.datasets import SPECS, DatasetError, load, parse
from benchmarks.datasets.load import ROOT_VARIABLE
from tests.benchmarks.datasets.miniatures import picture, read

META = {
    "koniq": "img_name,mos,std,official_split\na.jpg,70.5,0.5,train\nb.jpg,60,0.4,test\n",
    "clive": "img_name,mos,std\nImages/trainingImages/t1.bmp,63,1\nImages/3.bmp,70.5,0.5\n",
    "csiq": "ref_name,dist_name,dmos\n1600.png,1600.AWGN.1.png,0.06\n",
    "flive": "img_name/patch_name,mos,official_split\nvoc/a.jpg,70.5,test\nvoc/a_patch_1.jpg,3,\n",
}


@pytest.mark.parametrize(("name", "image", "mos", "split"), [
    ("koniq", "koniq10k/1024x768/a.jpg", 70.5, "training"),
    ("clive", "LIVEC/Images/3.bmp", 70.5, ""),
    ("csiq", "CSIQ/dst_imgs/1600.AWGN.1.png", -0.06, ""),
    ("flive", "FLIVE_Database/database/voc/a.jpg", 70.5, "test"),
])  # fmt: skip
@pytest.mark.parametrize("parent", [True, False])
def test_pyiqa_layout(
    name: str, image: str, mos: float, split: str, parent: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    root = tmp_path / "datasets"
    layout = SPECS[name].pyiqa
    assert layout is not None
    (root / "meta_info").mkdir(parents=True)
    (root / "meta_info" / layout.meta).write_text(META[name])
    for known in (image, "koniq10k/1024x768/b.jpg"):
        picture(root / known)
    frame = read(name, tmp_path if parent else root)
    assert frame["image"].iloc[0] == image
    assert frame["mos"].iloc[0] == mos
    assert frame["split"].iloc[0] == split
    assert len(frame) == (2 if name == "koniq" else 1)
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert len(load(parse(name)).frame) == len(frame)


def test_pyiqa_layout_errors(tmp_path: Path) -> None:
    (tmp_path / "meta_info").mkdir()
    with pytest.raises(DatasetError, match=r"labels missing: no meta_info_CSIQDataset\.csv"):
        read("csiq", tmp_path)
    (tmp_path / "meta_info" / "meta_info_CSIQDataset.csv").write_text("ref_name,dist_name\na,b\n")
    with pytest.raises(DatasetError, match=r"has 2 column\(s\), expected 3"):
        read("csiq", tmp_path)
    with pytest.raises(DatasetError, match="pyiqa has no such set"):
        read("cid2013", tmp_path)
