"""Every official layout in miniature, built by code."""

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
from PIL import Image
from scipy.io import savemat

from benchmarks.datasets import load, parse


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


def biq2021(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "Train (Images and MOS).csv").write_text(
        "Image Name,MOS,,\nss03 (1).jpg,0.8471,,\n", encoding="utf-8-sig"
    )
    (root / "Test (Images and MOS).csv").write_text(
        "Image Name,MOS\nss03 (7805).jpg,0.7321\n", encoding="utf-8-sig"
    )
    for name in ("ss03 (1).jpg", "ss03 (7805).jpg"):
        picture(root / "Images" / name)


BUILDERS = {
    "koniq": koniq, "koniq-512": koniq, "clive": clive, "spaq": spaq, "flive": flive,
    "cid2013": cid2013, "kadid": kadid, "tid2013": tid2013, "csiq": csiq, "live": live,
    "agiqa3k": agiqa3k, "uhd-iqa": uhd_iqa, "biq2021": biq2021,
}  # fmt: skip


def read(name: str, root: Path, **options: bool) -> pd.DataFrame:
    return load(parse(f"{name}={root}"), **options).frame
