"""Label files and names that are refused, with the file, the row and the cure."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from benchmarks.datasets import SPECS, DatasetError
from benchmarks.datasets.load import load, parse
from tests.benchmarks.datasets.miniatures import clive, koniq, picture, read, sheet, uhd_iqa


@pytest.mark.parametrize("name", SPECS)
def test_missing_labels_name_the_set_and_the_source(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="labels missing") as caught:
        read(name, tmp_path)
    assert str(caught.value).startswith(f"{name}: ")
    assert SPECS[name].source in str(caught.value)


def test_a_csv_of_ones_own_names_the_folder(tmp_path: Path) -> None:
    labels = tmp_path / "mine.csv"
    with pytest.raises(DatasetError, match="no such file"):
        load(parse(f"csv={labels}"))
    labels.write_text("image,mos\na.png,1\n")
    with pytest.raises(DatasetError, match="its own folder"):
        load(parse(f"csv={labels}"))


def test_wrong_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "dmos.csv").write_text("image,score\na.png,1\n")
    with pytest.raises(DatasetError, match="dist_img"):
        read("kadid", tmp_path)
    for page, word in (("all_by_image", "headers"), ("other", "all_by_image")):
        sheet(tmp_path / "csiq.DMOS.xlsx", page, [["image", "score"], ["a", 1]])
        with pytest.raises(DatasetError, match=word):
            read("csiq", tmp_path)


def test_lists_of_different_length(tmp_path: Path) -> None:
    clive(tmp_path)
    for content, word in (({"AllMOS_release": np.ones((1, 5))}, "5 MOS"), ({"a": 1}, "found a")):
        savemat(tmp_path / "Data/AllMOS_release.mat", content)
        with pytest.raises(DatasetError, match=word):
            read("clive", tmp_path)


def test_pipal_lines(tmp_path: Path) -> None:
    (tmp_path / "Train_Label").mkdir()
    (tmp_path / "Train_Label" / "A0001.txt").write_text("A0001.bmp,1400\n")
    with pytest.raises(DatasetError, match="not like"):
        read("pipal", tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("1.jpg,0.26,test", "0.JPG,0.26,training", r"more than once.*0\.JPG"),
        ("0.26", "", r"no finite MOS.*1\.jpg"),
        ("0.26", "nan", r"no finite MOS.*1\.jpg"),
        ("0.26", "inf", r"no finite MOS.*1\.jpg"),
        ("0.26", "good", r"no finite MOS.*1\.jpg"),
    ],
)
def test_wrong_rows_are_named(before: str, after: str, words: str, tmp_path: Path) -> None:
    uhd_iqa(tmp_path)
    labels = tmp_path / "uhd-iqa-metadata.csv"
    labels.write_text(labels.read_text().replace(before, after))
    with pytest.raises(DatasetError, match=words):
        read("uhd-iqa", tmp_path)


def test_missing_images_need_consent(tmp_path: Path) -> None:
    koniq(tmp_path)
    (tmp_path / "1024x768/10001.jpg").unlink()
    with pytest.raises(DatasetError, match="--allow-missing"):
        read("koniq", tmp_path)
    assert len(read("koniq", tmp_path, allow_missing=True)) == 1
    (tmp_path / "1024x768/10000.jpg").unlink()
    with pytest.raises(DatasetError, match="none of the 2"):
        read("koniq", tmp_path, allow_missing=True)


def own(folder: Path, text: str | bytes) -> Path:
    """A label file of one's own, beside one image."""
    picture(folder / "a.png")
    (folder / "own.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "own.csv"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        ("image,mos\na.png,1\n".encode("utf-16"), "UTF-16"),
        ("image,mos\na.png,1\n".encode("utf-16-be"), "UTF-16"),
        ("image,mos\na.png,1\nä.png,2\n".encode("latin-1"), "line 3 is not UTF-8"),
        (b"image,mos\na.png,1\nb.png,2,3,4\n", "line 3"),
        ("image,mos\na.png,1\n,2\n", "row 2: .*empty"),
        ("image,mos\na.png,1\n  ,2\n", "row 2: .*empty"),
        ("image,mos\na.png,1\n.,2\n", r"row 2: \. is a folder"),
        ("image,mos\na.png,1\npics,2\n", "row 2: pics is a folder"),
        ("image,mos\na.png,1\n../a.png,2\n", "row 2: .*--allow-outside"),
        ("image,mos\na.png,1\nx\\..\\..\\a.png,2\n", "row 2: .*--allow-outside"),
        ("image,mos\na.png,1\n/etc/a.png,2\n", "row 2: .*--allow-outside"),
        ("image,mos\na.png,1\nC:/a.png,2\n", "row 2: .*--allow-outside"),
        (f"image,mos\na.png,1\n{'x' * 5000},2\n", "row 2: .*cannot be a file name"),
    ],
)
def test_csv_files_that_are_refused(content: str | bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    with pytest.raises(DatasetError, match=rf"own\.csv.*{words}"):
        read("csv", own(tmp_path, content))


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    labels = own(tmp_path, "image,mos\na.png,1\n".encode("utf-8-sig"))
    assert read("csv", labels)["mos"].tolist() == [1.0]


def test_a_folder_in_other_letters_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "PICS").mkdir()
    labels = own(tmp_path, "image,mos\na.png,1\npics,2\n")
    with pytest.raises(DatasetError, match="1 of 2"):
        read("csv", labels)


def test_names_outside_the_set_need_consent(tmp_path: Path) -> None:
    picture(tmp_path / "b.png")
    rows = f"image,mos\na.png,1\n../b.png,2\n{tmp_path}/b.png,3\n"
    frame = read("csv", own(tmp_path / "set", rows), allow_outside=True)
    assert frame["path"].tolist()[1:] == [str(tmp_path / "b.png")] * 2


@pytest.mark.parametrize("content", [b"", b"no archive at all"])
def test_damaged_excel_and_matlab_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "csiq.DMOS.xlsx").write_bytes(content)
    with pytest.raises(DatasetError, match="Excel"):
        read("csiq", tmp_path)
    (tmp_path / "dmos_realigned.mat").write_bytes(content)
    with pytest.raises(DatasetError, match="MATLAB"):
        read("live", tmp_path)
