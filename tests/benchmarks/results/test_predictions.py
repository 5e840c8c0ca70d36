"""Published predictions, joined with opinions and measured without images."""

from pathlib import Path

import pytest
from scipy import stats

from benchmarks.datasets import avt
from benchmarks.stats.agreement import agreements

SHARED = Path(__file__).parents[4] / "shared" / "data"


def write_tables(folder, scores, opinions):
    (folder / avt.SCORES).write_text("model,metric,img_id,quality_score\n" + scores)
    (folder / avt.OPINIONS).write_text(
        "stimuli_file,mos,count,ci,std,factor,upscaler,base_img\n" + opinions
    )
    return folder


def test_predictions_join(tmp_path):
    opinions = "".join(
        f"./stimuli/BSRGAN/x{f}/a_{i}.png,{i + f},9,1,0.5,x{f},BSRGAN,a\n"
        for f in (2, 4)
        for i in range(3)
    )
    scores = "".join(f"BSRGAN_x2,NIQE,a_{i}.png,{9 - i}\n" for i in range(3))
    scores += "".join(f"BSRGAN_x{f},MUSIQ,a_{i}.png,{i}\n" for f in (2, 4) for i in range(3))
    joined = avt.load(write_tables(tmp_path, scores, opinions))
    assert joined.attrs["metrics"] == ["MUSIQ", "NIQE"]
    row = joined.set_index("image").loc["BSRGAN_x2/a_1.png"]
    assert (row["mos"], row["NIQE"], row["level"], row["reference"]) == (3, -8, 2, "a")
    assert joined["NIQE"].isna().sum() == 3
    figures = agreements(joined, resamples=10).set_index("metric")
    assert (figures.loc["NIQE", "n"], figures.loc["NIQE", "srcc"]) == (3, pytest.approx(1))
    assert figures.loc["MUSIQ", "n"] == 6
    assert set(agreements(joined, common=True, resamples=10)["n"]) == {3}


def test_predictions_errors(tmp_path):
    opinion = "./stimuli/B/x2/a.png,1,9,1,0.5,x2,B,a\n"
    with pytest.raises(ValueError, match=r"B_x4/a\.png"):
        avt.load(write_tables(tmp_path, "B_x4,NIQE,a.png,1\n", opinion))
    with pytest.raises(ValueError, match="NEW"):
        avt.load(write_tables(tmp_path, "B_x2,NEW,a.png,1\n", opinion))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_predictions(command):
    joined = avt.load(SHARED / "predictions")
    assert len(joined) == 1496
    counts = joined[joined.attrs["metrics"]].notna().sum().to_dict()
    assert sorted(set(counts.values())) == [1193, 1496]
    figures = agreements(joined, resamples=0).set_index("metric")
    for metric in figures.index:
        good = joined.dropna(subset=[metric])
        expected = stats.spearmanr(good[metric], good["mos"]).statistic
        assert figures.loc[metric, "srcc"] == pytest.approx(expected)
    assert figures["srcc"].idxmin() == "ILNIQE"  # and it is negative: no absolute value is taken
    assert figures["srcc"].min() < 0
    shown = command("predictions", SHARED / "predictions", "--resamples", 5).out
    assert shown.count("\n| ") == 11 - 1
    assert "ILNIQE: PLCC4 fit falling" in shown
