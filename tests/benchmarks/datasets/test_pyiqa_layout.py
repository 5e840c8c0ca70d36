"""The same sets in pyiqa's layout, with the label files as pyiqa's scripts write them."""

from pathlib import Path

import pytest

from benchmarks.datasets import SPECS, DatasetError, load, parse
from benchmarks.datasets.load import ROOT_VARIABLE
from tests.benchmarks.datasets.miniatures import picture

CASES = {
    # label file; image, mos, mos_std, reference and split of its last rated row
    "koniq": (
        "img_name,mos,std,official_split\nb.jpg,60,0.4,test\na.jpg,70.5,0.5,train\n",
        ("koniq10k/1024x768/a.jpg", 70.5, 0.5, "", "training"),
    ),
    "clive": (
        "img_name,mos,std\n3.bmp,70.5,0.5\ntrainingImages/t1.bmp,63,1\n",
        ("LIVEC/3.bmp", 70.5, 0.5, "", ""),
    ),
    "csiq": (
        "ref_name,dist_name,dmos\n1600.png,1600.AWGN.1.png,0.06\n",
        ("CSIQ/dst_imgs/1600.AWGN.1.png", -0.06, None, "1600.png", ""),
    ),
    "kadid": (  # its std is the release's variance
        "ref_name,dist_name,dmos,std\nI01.png,I01_01_01.png,4.57,0.25\n",
        ("kadid10k/images/I01_01_01.png", 4.57, 0.5, "I01.png", ""),
    ),
    "flive": (  # splits are numbers, and patches are listed
        "img_name/patch_name,mos,split\nvoc/a.jpg,71,0\nvoc/c.jpg,72,1\nvoc/b.jpg,70.5,2\n"
        "voc/b_patch_1.jpg,3,2\n",
        ("FLIVE_Database/database/voc/b.jpg", 70.5, None, "", "test"),
    ),
    "pipal": (
        "hq_name,dist_name,elo_score\nA0001.bmp,A0001_03_07.bmp,1437.6\n",
        ("PIPAL/Dist_Imgs/A0001_03_07.bmp", 1437.6, None, "A0001.bmp", ""),
    ),
    "live": (
        "ref_name,dist_name,mos\nrefimgs/a.bmp,jpeg/img2.bmp,40.5\n",
        ("LIVEIQA_release2/jpeg/img2.bmp", -40.5, None, "refimgs/a.bmp", ""),
    ),
}


def layout(root: Path, name: str) -> None:
    """Write a set's label file, and an image for each of its rows."""
    spec = SPECS[name].pyiqa
    assert spec is not None
    text = CASES[name][0]
    (root / "meta_info").mkdir(parents=True)
    (root / "meta_info" / spec.meta).write_text(text)
    for row in text.splitlines()[1:]:
        picture(root / spec.images / row.split(",")[1 if spec.full_reference else 0])


@pytest.mark.parametrize("name", CASES)
def test_pyiqa_layout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "datasets"
    layout(root, name)
    image, mos, std, reference, split = CASES[name][1]
    for folder in (tmp_path, root):  # pyiqa's own folder, or the one above it
        frame = load(parse(f"{name}={folder}")).frame
        monkeypatch.setenv(ROOT_VARIABLE, str(folder))
        assert len(load(parse(name)).frame) == len(frame)
    row = frame.iloc[-1]
    assert (row["image"], row["reference"], row["split"]) == (image, reference, split)
    assert row["mos"] == pytest.approx(mos)
    assert row["mos_std"] == pytest.approx(float("nan") if std is None else std, nan_ok=True)
    if name == "flive":
        assert frame["split"].tolist() == ["training", "validation", "test"]


def test_lives_labels_are_not_the_realigned_ones_and_it_is_said(tmp_path: Path) -> None:
    layout(tmp_path, "live")
    assert "not the realigned" in load(parse(f"live={tmp_path}")).notes["remark"]


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("csiq", None, r"meta_info_CSIQDataset\.csv"),
        ("csiq", "ref_name,dist_name\na,b\n", "expected 3"),
        ("cid2013", None, "pyiqa has no such set"),
    ],
)
def test_refusals(name: str, text: str | None, word: str, tmp_path: Path) -> None:
    (tmp_path / "meta_info").mkdir()
    if text:
        (tmp_path / "meta_info" / "meta_info_CSIQDataset.csv").write_text(text)
    with pytest.raises(DatasetError, match=word):
        load(parse(f"{name}={tmp_path}"))
