"""Each reader on its official layout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from benchmarks.datasets import SPECS, load, parse
from benchmarks.datasets.spec import COLUMNS
from tests.benchmarks.datasets.miniatures import (
    BUILDERS,
    clive,
    csiq,
    flive,
    koniq,
    live,
    read,
    write,
)

SHARED = Path(__file__).parents[4] / "shared" / "data"

EXPECTED = {
    # image, mos, mos_std, reference, distortion, level, split of one row
    "koniq": ("1024x768/10001.jpg", 61, 0.51, "", "", None, "test"),
    "koniq-512": ("512x384/10001.jpg", 61, 0.51, "", "", None, "test"),
    "clive": ("Images/1.JPG", 58, 5.8, "", "", None, ""),
    "spaq": ("TestImage/00001.jpg", 49.5, None, "", "", None, ""),
    "flive": ("database/EE371R/2.jpg", 72, None, "", "", None, "test"),
    "cid2013": ("IS4/co2/IS_IV_C02_D01.jpg", -8.5, None, "IS_IV_C02", "", None, ""),
    "kadid": ("images/I01_25_02.png", 1.05, 1.2, "I01.png", "25", 2, ""),
    "tid2013": ("distorted_images/i01_24_2.bmp", 3.55, 0.2, "I01", "24", 2, ""),
    "csiq": ("dst_imgs/awgn/1600.AWGN.1.png", -0.9, 0.061, "1600", "AWGN", 1, ""),
    "live": ("jpeg/img1.bmp", -50.5, 5.05, "a.bmp", "jpeg", None, ""),
    "pipal": ("Distortion_2/A0000_01_01.bmp", 1401.5, None, "A0000", "01", None, ""),
    "agiqa3k": ("images/sd_high_001.jpg", 1.15, 0.2, "a bird, 1", "", None, ""),
    "biq2021": ("Images/ss03 (1).jpg", 0.26, None, "", "", None, "test"),
    "uhd-iqa": ("test/1.jpg", 0.26, None, "", "", None, "test"),
}


@pytest.mark.parametrize("name", SPECS)
def test_official_layout(name: str, tmp_path: Path) -> None:
    """Of 60 images, whose noise rises with the MOS."""
    BUILDERS[name](tmp_path, 60)
    dataset = load(parse(f"{name}={tmp_path}"))
    frame = dataset.frame
    assert tuple(frame.columns) == COLUMNS
    row = frame.set_index("image").loc[EXPECTED[name][0]]
    for column, expected in zip(COLUMNS[2:], EXPECTED[name][1:], strict=True):
        if expected is None:
            assert np.isnan(row[column]), column
        elif isinstance(expected, str):
            assert row[column] == expected, column
        else:
            assert row[column] == pytest.approx(expected), column
    assert dataset.subset  # a look-alike is smaller than the official set
    assert f"of {SPECS[name].count}" in dataset.label
    noise = [np.asarray(Image.open(path)).std() for path in frame["path"]]
    assert len(noise) == 60
    # DMOS is turned, and each label is its own image's
    assert spearmanr(frame["mos"], noise).statistic > 0.9


def test_the_commands_one_after_the_other(command, tmp_path: Path) -> None:
    words, out, page = [], tmp_path / "results", tmp_path / "report.html"
    for name in ("koniq", "live"):
        BUILDERS[name](tmp_path / name, 60)
        words += ["--dataset", f"{name}={tmp_path / name}"]
    for metric in ("sharpness", "jpegsize"):
        words += ["--metric", metric]
    command("run", *words, "--out", out, "--workers", 0, "--resamples", 50, "--splits", 2)
    rows = pd.read_csv(out / "summary.csv").query("split == 'all'")
    assert rows["n"].tolist() == [60] * 4 and set(rows["status"]) == {"ok"}
    assert (rows.query("metric == 'sharpness'")["srcc_low"] > 0.8).all()
    assert command("compare", "--results", out, "--resamples", 50).out.count("## ") == 2
    assert command("table", "--results", out).out.count("<br>SRCC") == 2
    command("gmad", "--results", out, "--dataset", "live", "--out", tmp_path, "--resamples", 50)
    command("report", "--results", out, "--out", page, "--resamples", 50, "--budget", 0.1)
    assert "60 of 10073" in page.read_text(encoding="utf-8")


def test_clive_leaves_out_training_images(tmp_path: Path) -> None:
    clive(tmp_path)
    assert read("clive", tmp_path)["image"].tolist() == ["Images/0.bmp", "Images/1.JPG"]


def test_live_leaves_out_originals_and_turns_dmos(tmp_path: Path) -> None:
    live(tmp_path)
    frame = read("live", tmp_path)
    assert frame["image"].tolist()[:3] == ["jp2k/img1.bmp", "jp2k/img3.bmp", "jp2k/img4.bmp"]
    assert frame["mos"].tolist()[:3] == [-80.5, -78.5, -77.5]
    assert len(frame) == 60


def test_csiq_text_labels_agree_with_excel(tmp_path: Path) -> None:
    csiq(tmp_path)
    excel = read("csiq", tmp_path)
    (tmp_path / "csiq.DMOS.xlsx").unlink()
    lines = "1600.AWGN.1.png\t0.9\n1600.jpeg2000.2 0.89\n1600.contrast.3.png 0.88\n"
    write(tmp_path / "csiq_label.txt", lines)
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
    assert (len(koniq37.frame), koniq37.count) == (37, 10073)
    splits = {"training": 32, "validation": 4, "test": 1}
    assert koniq37.frame["split"].value_counts().to_dict() == splits


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_biq500() -> None:
    biq = load(parse(f"biq2021={SHARED / 'biq500/BIQ2021'}"), allow_missing=True)
    assert biq.count > len(biq.frame) == 500
    assert set(biq.frame["split"]) == {"training"}
