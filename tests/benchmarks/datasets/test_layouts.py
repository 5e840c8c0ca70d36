"""What each reader makes of its official layout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.datasets import SPECS, load, parse
from benchmarks.datasets.spec import COLUMNS
from tests.benchmarks.datasets.miniatures import BUILDERS, clive, csiq, flive, koniq, live, read

SHARED = Path(__file__).parents[4] / "shared" / "data"

EXPECTED = {
    # image, mos, mos_std, reference, distortion, level, split of one row
    "koniq": ("1024x768/10007357496.jpg", 68.7, 0.58, "", "", None, "test"),
    "koniq-512": ("512x384/10007357496.jpg", 68.7, 0.58, "", "", None, "test"),
    "clive": ("Images/902.JPG", 58.0, 5.8, "", "", None, ""),
    "spaq": ("TestImage/00002.jpg", 62.5, None, "", "", None, ""),
    "flive": ("database/EE371R/cj23.jpg", 72.0, None, "", "", None, "test"),
    "cid2013": ("IS4/co2/IS_IV_C02_D03.jpg", -9.55, None, "IS_IV_C02", "", None, ""),
    "kadid": ("images/I02_25_05.png", 1.2, 1.2, "I02.png", "25", 5, ""),
    "tid2013": ("distorted_images/i25_24_5.bmp", 3.5, 0.2, "I25", "24", 5, ""),
    "csiq": ("dst_imgs/awgn/1600.AWGN.1.png", -0.062, 0.061, "1600", "AWGN", 1, ""),
    "live": ("jpeg/img1.bmp", -30.5, 3.0, "b.bmp", "jpeg", None, ""),
    "agiqa3k": ("images/sd_high_001.jpg", 3.9, 0.2, "a cat", "", None, ""),
    "biq2021": ("Images/ss03 (7805).jpg", 0.7321, None, "", "", None, "test"),
    "uhd-iqa": ("test/2.jpg", 0.75, None, "", "", None, "test"),
}


def test_every_dataset_has_a_miniature() -> None:
    assert set(BUILDERS) == set(EXPECTED) == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_official_layout(name: str, tmp_path: Path) -> None:
    BUILDERS[name](tmp_path)
    dataset = load(parse(f"{name}={tmp_path}"))
    frame = dataset.frame
    assert tuple(frame.columns) == COLUMNS
    assert all(Path(path).is_file() for path in frame["path"])
    row = frame.set_index("image").loc[EXPECTED[name][0]]
    for column, expected in zip(COLUMNS[2:], EXPECTED[name][1:], strict=True):
        if expected is None:
            assert np.isnan(row[column]), column
        elif isinstance(expected, str):
            assert row[column] == expected, column
        else:
            assert row[column] == pytest.approx(expected), column
    assert dataset.subset  # a miniature is not the official set
    assert f"of {SPECS[name].count}" in dataset.label


def test_clive_leaves_out_training_images(tmp_path: Path) -> None:
    clive(tmp_path)
    assert read("clive", tmp_path)["image"].tolist() == ["Images/100.bmp", "Images/902.JPG"]


def test_live_leaves_out_originals_and_turns_dmos(tmp_path: Path) -> None:
    live(tmp_path)
    frame = read("live", tmp_path)
    assert frame["image"].tolist() == ["jp2k/img1.bmp", "jpeg/img1.bmp", "wn/img1.bmp"]
    assert frame["mos"].tolist() == [-50.0, -30.5, -80.0]


def test_live_counts_follow_release_2() -> None:
    from benchmarks.datasets.readers import _LIVE

    assert sum(count for _, count in _LIVE) == 982
    assert sum(count for _, count in _LIVE) - 203 == SPECS["live"].count


def test_csiq_text_labels_agree_with_excel(tmp_path: Path) -> None:
    csiq(tmp_path)
    excel = read("csiq", tmp_path)
    (tmp_path / "csiq.DMOS.xlsx").unlink()
    (tmp_path / "csiq_label.txt").write_text(
        "1600.AWGN.1.png\t0.062\nboston.jpeg2000.3 0.7\nboston.contrast.2.png 0.4\n"
    )
    columns = ["image", "mos", "reference", "distortion", "level"]
    pd.testing.assert_frame_equal(read("csiq", tmp_path)[columns], excel[columns])


def test_flive_without_split_files_has_no_split(tmp_path: Path) -> None:
    flive(tmp_path)
    assert read("flive", tmp_path)["split"].tolist() == ["validation", "training", "test"]
    (tmp_path / "database" / "labels>640.csv").unlink()
    assert set(read("flive", tmp_path)["split"]) == {""}


def test_koniq_older_csv_without_sets(tmp_path: Path) -> None:
    koniq(tmp_path)
    new = tmp_path / "koniq10k_distributions_sets.csv"
    table = pd.read_csv(new).drop(columns="set").assign(MOS_zscore=1.0)
    table.to_csv(tmp_path / "koniq10k_scores_and_distributions.csv", index=False)
    new.unlink()
    assert set(read("koniq", tmp_path)["split"]) == {""}


def test_specs_cite() -> None:
    for spec in SPECS.values():
        for text in (spec.citation, spec.licence, spec.layout, spec.protocol, spec.source):
            assert len(text) > 5, spec.name
    assert SPECS["spaq"].short_side == 448


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_clive627_and_koniq37() -> None:
    clive627 = load(
        parse(f"clive627:clive={SHARED / 'clive627/ChallengeDB_release'}"), allow_missing=True
    )
    assert clive627.label == "clive627 (subset, 627 of 1162)"
    assert {Path(p).suffix for p in clive627.frame["path"]} == {".JPG"}
    published = pd.read_csv(SHARED / "scores/LIVE_Challenge.txt")
    names = published["dis_img_path"].str.removeprefix("LIVE_Challenge/")
    ours = clive627.frame.set_index("image")["mos"]
    theirs = published.set_index(names)["score"].reindex(ours.index)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    koniq37 = load(parse(f"koniq={SHARED / 'koniq37'}"), allow_missing=True)
    assert len(koniq37.frame) == 37
    assert koniq37.count == 10073
    assert koniq37.frame["split"].value_counts().to_dict() == {
        "training": 32, "validation": 4, "test": 1
    }  # fmt: skip
