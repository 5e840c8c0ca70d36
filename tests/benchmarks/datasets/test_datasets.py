"""Every official layout in miniature, built by code, and what each reader makes of it."""

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from benchmarks.datasets import SPECS, DatasetError, inventory, load, parse, readers
from benchmarks.datasets.load import ROOT_VARIABLE
from benchmarks.datasets.spec import COLUMNS

SHARED = Path(__file__).parents[4] / "shared" / "data"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (10, 20, 30)).save(path)


def sheet(path: Path, name: str, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    page = book.active
    page.title = name
    for row in rows:
        page.append(row)
    book.save(path)
    book.close()


def cells(names: list[str]) -> np.ndarray:
    array = np.empty((len(names), 1), dtype=object)
    array[:, 0] = names
    return array


def koniq(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "koniq10k_distributions_sets.csv").write_text(
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
        "10004473376.jpg,0,0,0.2,0.7,0.1,105,77.4,0.53,training\n"
        "10007357496.jpg,0,0,0.5,0.4,0.1,96,68.7,0.58,test\n"
    )
    for size in ("1024x768", "512x384"):
        for name in ("10004473376.jpg", "10007357496.jpg"):
            picture(root / size / name)


def clive(root: Path) -> None:
    training = [f"t{i}.bmp" for i in range(1, 8)]
    names = [*training, "100.bmp", "902.JPG"]
    data = root / "Data"
    data.mkdir(parents=True)
    mos = np.arange(9, dtype=float)[None] + 50
    savemat(data / "AllImages_release.mat", {"AllImages_release": cells(names)})
    savemat(data / "AllMOS_release.mat", {"AllMOS_release": mos})
    savemat(data / "AllStdDev_release.mat", {"AllStdDev_release": mos / 10})
    for name in names[7:]:
        picture(root / "Images" / name)
    for name in training:
        picture(root / "Images" / "trainingImages" / name)


def spaq(root: Path) -> None:
    header = ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness",
              "Sharpness"]  # fmt: skip
    rows = [header, ["00001.jpg", 48.86, 1, 2, 3, 4, 5], ["00002.jpg", 62.5, 1, 2, 3, 4, 5]]
    sheet(root / "Annotations" / "MOS and Image attribute scores.xlsx", "Sheet1", rows)
    for row in rows[1:]:
        picture(root / "TestImage" / str(row[0]))


def flive(root: Path) -> None:
    base = root / "database"
    names = ["voc_emotic_ava/AVA__1.jpg", "blur_dataset/motion0001.jpg", "EE371R/cj23.jpg"]
    for name in names:
        picture(base / name)
    rows = "\n".join(f"{name},{70 + i},0.1" for i, name in enumerate(names))
    (base / "labels_image.csv").write_text(f"name,mos,zscores\n{rows}\n")
    (base / "labels>640.csv").write_text(f"name_image,mos_image\n{names[2]},72\n")
    (base / "labels<=640_padded.csv").write_text(
        f"name_image,is_valid,mos_image\n{names[0]},True,70\n{names[1]},False,71\n"
    )


def cid2013(root: Path) -> None:
    header = ["Source_ID", "Image set specific  MOS", "Realigned MOS", "Sharpness"]
    rows = [header, ["IS_I_C01_D01", 9.0, 3.34, 1], ["IS_IV_C02_D03", 8.0, -9.55, 1]]
    sheet(root / "CID2013 data - version 12112014.xlsx", "CID2013 MOS", rows)
    picture(root / "IS1/co1/IS_I_C01_D01.jpg")
    picture(root / "IS4/co2/IS_IV_C02_D03.jpg")


def kadid(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.25\nI02_25_05.png,I02.png,1.2,1.44\n"
    )
    for name in ("I01_01_01.png", "I02_25_05.png", "I01.png"):
        picture(root / "images" / name)


def tid2013(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\r\n3.5 i25_24_5.bmp\r\n")
    (root / "mos_std.txt").write_text("0.13\n0.2\n")
    picture(root / "distorted_images" / "i01_01_1.bmp")  # the release mixes letter case
    picture(root / "distorted_images" / "I25_24_5.BMP")


def csiq(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    pad: list[object] = [None, None, None]
    rows: list[list[object]] = [
        ["CSIQ DMOS"], [None], [None],
        [*pad, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"],
        [*pad, 1600, 1, "noise", 1, 0.061, 0.062],
        [*pad, "boston", 5, "jpeg 2000", 3, 0.1, 0.7],
        [*pad, "boston", 3, "contrast", 2, 0.1, 0.4],
    ]  # fmt: skip
    sheet(root / "csiq.DMOS.xlsx", "all_by_image", rows)
    for name in ("awgn/1600.AWGN.1", "jpeg2000/boston.jpeg2000.3", "contrast/boston.contrast.2"):
        picture(root / "dst_imgs" / f"{name}.png")


LIVE_PARTS = (("jp2k", 2), ("jpeg", 1), ("wn", 1))


def live(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    content = {
        "dmos_new": np.array([[50.0, 0.0, 30.5, 80.0]]),
        "dmos_std": np.array([[5.0, 0.0, 3.0, 8.0]]),
        "orgs": np.array([[0, 1, 0, 0]], dtype=np.uint8),
    }
    savemat(root / "dmos_realigned.mat", content)
    names = ["a.bmp", "a.bmp", "b.bmp", "a.bmp"]
    savemat(root / "refnames_all.mat", {"refnames_all": cells(names).T})
    for name in ("jp2k/img1.bmp", "jp2k/img2.bmp", "jpeg/img1.bmp", "wn/img1.bmp"):
        picture(root / name)


def agiqa3k(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.csv").write_text(
        "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n"
        'AttnGAN_normal_000.jpg,"a bird, red",,,anime,1.1,0.2,3.3,0.3\n'
        "sd_high_001.jpg,a cat,sharp,,,3.9,0.2,1.0,0.3\n"
    )
    for name in ("AttnGAN_normal_000.jpg", "sd_high_001.jpg"):
        picture(root / "images" / name)


def uhd_iqa(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "uhd-iqa-metadata.csv").write_text(
        "image_name,quality_mos,set,subset\n1.jpg,0.51,training,\n2.jpg,0.75,test,night\n"
    )
    picture(root / "training" / "1.jpg")
    picture(root / "test" / "2.jpg")


BUILDERS = {
    "koniq": koniq, "koniq-512": koniq, "clive": clive, "spaq": spaq, "flive": flive,
    "cid2013": cid2013, "kadid": kadid, "tid2013": tid2013, "csiq": csiq, "live": live,
    "agiqa3k": agiqa3k, "uhd-iqa": uhd_iqa,
}  # fmt: skip

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
    "uhd-iqa": ("test/2.jpg", 0.75, None, "", "", None, "test"),
}


@pytest.fixture(autouse=True)
def short_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers.live, "__defaults__", (LIVE_PARTS,))
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)


def read(name: str, root: Path, **options: bool) -> pd.DataFrame:
    return load(parse(f"{name}={root}"), **options).frame


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


@pytest.mark.parametrize("name", SPECS)
def test_missing_labels_name_the_file_and_the_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="labels missing") as caught:
        read(name, tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert SPECS[name].source in text


def test_wrong_layout_names_columns(tmp_path: Path) -> None:
    (tmp_path / "dmos.csv").write_text("image,score\na.png,1\n")
    with pytest.raises(DatasetError, match=r"no column dist_img, .*found image, score"):
        read("kadid", tmp_path)


def test_wrong_excel_header(tmp_path: Path) -> None:
    sheet(tmp_path / "csiq.DMOS.xlsx", "all_by_image", [["image", "score"], ["a", 1]])
    with pytest.raises(DatasetError, match="no row in the first 20 holds the headers"):
        read("csiq", tmp_path)
    sheet(tmp_path / "csiq.DMOS.xlsx", "other", [["image", "score"], ["a", 1]])
    with pytest.raises(DatasetError, match="all_by_image"):
        read("csiq", tmp_path)


def test_lists_of_different_length(tmp_path: Path) -> None:
    clive(tmp_path)
    savemat(tmp_path / "Data/AllMOS_release.mat", {"AllMOS_release": np.ones((1, 5))})
    with pytest.raises(DatasetError, match="9 names, 5 MOS, 9 deviations"):
        read("clive", tmp_path)
    savemat(tmp_path / "Data/AllMOS_release.mat", {"wrong": np.ones((1, 9))})
    with pytest.raises(DatasetError, match="no variable AllMOS_release; found wrong"):
        read("clive", tmp_path)


def test_duplicate_names(tmp_path: Path) -> None:
    uhd_iqa(tmp_path)
    labels = tmp_path / "uhd-iqa-metadata.csv"
    labels.write_text(labels.read_text() + "2.jpg,0.75,test,night\n")
    with pytest.raises(DatasetError, match=r"1 image name\(s\) appear more than once.*2\.jpg"):
        read("uhd-iqa", tmp_path)


@pytest.mark.parametrize("value", ["", "nan", "inf", "good"])
def test_mos_that_is_no_number(value: str, tmp_path: Path) -> None:
    uhd_iqa(tmp_path)
    labels = tmp_path / "uhd-iqa-metadata.csv"
    labels.write_text(labels.read_text().replace("0.75", value))
    with pytest.raises(DatasetError, match=r"1 image\(s\) have no finite MOS.*2\.jpg"):
        read("uhd-iqa", tmp_path)


def test_missing_images_need_consent(tmp_path: Path) -> None:
    koniq(tmp_path)
    (tmp_path / "1024x768/10007357496.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 labelled images are missing.*--allow-missing"):
        read("koniq", tmp_path)
    assert len(read("koniq", tmp_path, allow_missing=True)) == 1
    (tmp_path / "1024x768/10004473376.jpg").unlink()
    with pytest.raises(DatasetError, match="none of the 2 labelled images"):
        read("koniq", tmp_path, allow_missing=True)


def test_absent_folder_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder .*nowhere.*github\.com/h4nwei/SPAQ"):
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
    (tmp_path / "own.csv").write_text(f"image,mos,split\npics/a.png,1,test\n{tmp_path}/b.png,2,\n")
    dataset = load(parse(f"csv={tmp_path / 'own.csv'}"))
    assert dataset.label == "own"
    assert not dataset.subset
    assert dataset.frame["split"].tolist() == ["test", ""]
    (tmp_path / "own.csv").write_text("image,dmos\npics/a.png,1\nb.png,2\n")
    assert read("csv", tmp_path / "own.csv")["mos"].tolist() == [-1.0, -2.0]
    (tmp_path / "own.csv").write_text("image,score\npics/a.png,1\n")
    with pytest.raises(DatasetError, match=r"no column mos .* or dmos"):
        read("csv", tmp_path / "own.csv")
    (tmp_path / "own.csv").write_text("image,mos\n")
    with pytest.raises(DatasetError, match="lists no images"):
        read("csv", tmp_path / "own.csv")


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
