"""Label files and names that are refused, with the file, the row and the cure."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from benchmarks.datasets import SPECS, DatasetError
from benchmarks.datasets.load import load, parse
from tests.benchmarks.datasets.miniatures import clive, koniq, picture, read, sheet, uhd_iqa


@pytest.mark.parametrize("name", SPECS)
def test_missing_labels_name_the_file_and_the_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="labels missing") as caught:
        read(name, tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert SPECS[name].source in text


def test_a_csv_of_ones_own_that_leads_nowhere_names_the_folder(tmp_path: Path) -> None:
    labels = tmp_path / "mine.csv"
    with pytest.raises(DatasetError, match=r"mine\.csv: no such file; expected a csv"):
        load(parse(f"csv={labels}"))
    labels.write_text("image,mos\na.png,1\n")
    with pytest.raises(DatasetError, match="names in a csv are relative to its own folder"):
        load(parse(f"csv={labels}"))


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


def own(folder: Path, text: str | bytes) -> Path:
    """A label file of one's own, beside one image."""
    picture(folder / "a.png")
    (folder / "own.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "own.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"own\.csv: the file is empty"),
        (b" \n", r"own\.csv: the file is empty"),
        ("image,mos\na.png,1\n".encode("utf-16"), r"own\.csv: the file is UTF-16 or binary"),
        ("image,mos\na.png,1\n".encode("utf-16-be"), r"own\.csv: the file is UTF-16 or binary"),
        ("image,mos\na.png,1\nä.png,2\n".encode("latin-1"), r"own\.csv: line 3 is not UTF-8"),
        (b"image,mos\na.png,1\nb.png,2,3,4\n", r"own\.csv: not a csv table: .*line 3"),
    ],
)
def test_label_files_that_are_no_text_in_utf8(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read("csv", own(tmp_path, content))


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    labels = own(tmp_path, "image,mos\na.png,1\n".encode("utf-8-sig"))
    assert read("csv", labels)["mos"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"own\.csv, row 2: the image name is empty; remove the row"),
        ("  ", r"own\.csv, row 2: the image name is empty"),
        (".", r"own\.csv, row 2: \. is a folder, expected an image file"),
        ("pics", r"own\.csv, row 2: pics is a folder"),
        ("../a.png", r"own\.csv, row 2: \.\./a\.png leads out of .*--allow-outside"),
        (r"x\..\..\a.png", r"own\.csv, row 2: .* leads out of"),
        ("/etc/a.png", r"own\.csv, row 2: /etc/a\.png leads out of"),
        ("C:/a.png", r"own\.csv, row 2: C:/a\.png leads out of"),
        ("x" * 5000, r"own\.csv, row 2: 'xxxx.*' cannot be a file name"),
    ],
)
def test_image_names_that_cannot_be_one(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    with pytest.raises(DatasetError, match=message):
        read("csv", own(tmp_path, f"image,mos\na.png,1\n{name},2\n"))


def test_a_folder_in_other_letters_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "PICS").mkdir()
    labels = own(tmp_path, "image,mos\na.png,1\npics,2\n")
    with pytest.raises(DatasetError, match="1 of 2 labelled images are missing"):
        read("csv", labels)


def test_names_outside_the_set_need_consent(tmp_path: Path) -> None:
    picture(tmp_path / "b.png")
    rows = f"image,mos\na.png,1\n../b.png,2\n{tmp_path}/b.png,3\n"
    frame = read("csv", own(tmp_path / "set", rows), allow_outside=True)
    assert frame["path"].tolist()[1:] == [str(tmp_path / "b.png")] * 2


@pytest.mark.parametrize("content", [b"", b"no archive at all"])
def test_excel_and_matlab_files_that_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "csiq.DMOS.xlsx").write_bytes(content)
    with pytest.raises(DatasetError, match=r"csiq\.DMOS\.xlsx: not an Excel table"):
        read("csiq", tmp_path)
    (tmp_path / "dmos_realigned.mat").write_bytes(content)
    with pytest.raises(DatasetError, match=r"dmos_realigned\.mat: not a MATLAB file"):
        read("live", tmp_path)
