"""Look-alikes of every official layout, built by code: `count` images whose noise and MOS rise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
from PIL import Image
from scipy.io import savemat

from benchmarks.datasets import load, parse

LIVE_PARTS = (("jp2k", 30), ("jpeg", 20), ("wn", 20))
"""Folders of LIVE's look-alike; every seventh image is an original, so that 60 are rated."""


def picture(path: Path, i: int = 0) -> None:
    """A grey image of 8x8 pixels with noise that rises with i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(i).normal(0, 2 + i, (8, 8, 3))
    Image.fromarray(np.clip(128 + noise, 0, 255).astype(np.uint8)).save(path)


def pictures(root: Path, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        picture(root / name, i)


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)


def sheet(path: Path, name: str, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    page = book.active
    page.title = name
    for row in rows:
        page.append(row)
    book.save(path)
    book.close()


def cells(names: Sequence[str]) -> np.ndarray:
    array = np.empty((len(names), 1), dtype=object)
    array[:, 0] = names
    return array


def koniq(root: Path, count: int = 2) -> None:
    names = [f"1000{i}.jpg" for i in range(count)]
    sets = ["training", "test", "validation"]
    rows = [f"{n},0,0,0.2,0.7,0.1,105,{60 + i},0.{50 + i},{sets[i % 3]}\n"
            for i, n in enumerate(names)]  # fmt: skip
    head = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
    write(root / "koniq10k_distributions_sets.csv", head + "".join(rows))
    for size in ("1024x768", "512x384"):
        pictures(root / size, names)


def clive(root: Path, count: int = 2) -> None:
    training = [f"t{i}.bmp" for i in range(1, 8)]
    names = [f"{i}.bmp" if i % 2 == 0 else f"{i}.JPG" for i in range(count)]
    data = root / "Data"
    data.mkdir(parents=True)
    mos = np.arange(7 + count, dtype=float)[None] + 50
    savemat(data / "AllImages_release.mat", {"AllImages_release": cells([*training, *names])})
    savemat(data / "AllMOS_release.mat", {"AllMOS_release": mos})
    savemat(data / "AllStdDev_release.mat", {"AllStdDev_release": mos / 10})
    pictures(root / "Images", names)
    pictures(root / "Images" / "trainingImages", training)


def spaq(root: Path, count: int = 2) -> None:
    header = ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness",
              "Sharpness"]  # fmt: skip
    rows = [[f"{i:05d}.jpg", 48.5 + i, 1, 2, 3, 4, 5] for i in range(count)]
    sheet(root / "Annotations" / "MOS and Image attribute scores.xlsx", "Sheet1", [header, *rows])
    pictures(root / "TestImage", [str(row[0]) for row in rows])


def flive(root: Path, count: int = 3) -> None:
    """Image 0 is for validation, 1 for training, 2 for testing, and so on."""
    base = root / "database"
    folders = ("voc_emotic_ava", "blur_dataset", "EE371R")
    names = [f"{folders[i % 3]}/{i}.jpg" for i in range(count)]
    pictures(base, names)
    rows = "".join(f"{name},{70 + i},0.1\n" for i, name in enumerate(names))
    write(base / "labels_image.csv", f"name,mos,zscores\n{rows}")
    test = "".join(f"{name},72\n" for name in names[2::3])
    write(base / "labels>640.csv", f"name_image,mos_image\n{test}")
    rest = "".join(f"{n},{i % 3 == 0},70\n" for i, n in enumerate(names) if i % 3 != 2)
    write(base / "labels<=640_padded.csv", f"name_image,is_valid,mos_image\n{rest}")


def cid2013(root: Path, count: int = 2) -> None:
    header = ["Source_ID", "Image set specific  MOS", "Realigned MOS", "Sharpness"]
    sets = ("I", "IV")
    rows = [[f"IS_{sets[i % 2]}_C0{1 + i % 2}_D{i:02d}", 9.0, i - 9.5, 1] for i in range(count)]
    sheet(root / "CID2013 data - version 12112014.xlsx", "CID2013 MOS", [header, *rows])
    folders = ("IS1/co1", "IS4/co2")
    pictures(root, [f"{folders[i % 2]}/{row[0]}.jpg" for i, row in enumerate(rows)])


def kadid(root: Path, count: int = 2) -> None:
    names = [f"I{1 + i // 5:02d}_25_{1 + i % 5:02d}.png" for i in range(count)]
    rows = [f"{n},{n[:3]}.png,{1 + i / 20},1.44\n" for i, n in enumerate(names)]
    write(root / "dmos.csv", "dist_img,ref_img,dmos,var\n" + "".join(rows))
    pictures(root / "images", names)
    picture(root / "images" / "I01.png")


def tid2013(root: Path, count: int = 2) -> None:
    """The labels and the release mix letter case."""
    names = [f"I{1 + i // 5:02d}_24_{1 + i % 5}.bmp" for i in range(count)]
    lines = [f"{3.5 + i / 20} {n.lower() if i % 2 else n}\r\n" for i, n in enumerate(names)]
    write(root / "mos_with_names.txt", "".join(lines))
    write(root / "mos_std.txt", "".join(f"{0.1 * (1 + i % 2)}\n" for i in range(count)))
    kept = [n.replace("I", "i") if i % 4 == 0 else n.replace(".bmp", ".BMP") if i % 4 == 1 else n
            for i, n in enumerate(names)]  # fmt: skip
    pictures(root / "distorted_images", kept)


def csiq(root: Path, count: int = 3) -> None:
    """The Excel header stands in row 4, three columns from the left."""
    kinds = (("noise", "awgn", "AWGN"), ("jpeg 2000", "jpeg2000", "jpeg2000"),
             ("contrast", "contrast", "contrast"))  # fmt: skip
    pad: list[object] = [None, None, None]
    rows: list[list[object]] = [["CSIQ DMOS"], [None], [None]]
    rows.append([*pad, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    names = []
    for i in range(count):
        kind, folder, token = kinds[i % 3]
        reference = 1600 if i < 3 else f"photo{i // 3}"
        rows.append([*pad, reference, 1, kind, 1 + i % 3, 0.061, 0.9 - i / 100])
        names.append(f"{folder}/{reference}.{token}.{1 + i % 3}.png")
    sheet(root / "csiq.DMOS.xlsx", "all_by_image", rows)
    pictures(root / "dst_imgs", names)


def live(root: Path, count: int = 60) -> None:
    """As many images as LIVE_PARTS says."""
    root.mkdir(parents=True, exist_ok=True)
    names = [f"{part}/img{i + 1}.bmp" for part, n in LIVE_PARTS for i in range(n)]
    original = np.arange(len(names)) % 7 == 1
    dmos = np.where(original, 0.0, 80.5 - np.arange(len(names)))
    content = {"dmos_new": dmos[None], "dmos_std": dmos[None] / 10, "orgs": original[None]}
    savemat(root / "dmos_realigned.mat", content)
    references = [f"{'ab'[i % 2]}.bmp" for i in range(len(names))]
    savemat(root / "refnames_all.mat", {"refnames_all": cells(references).T})
    pictures(root, names)


def pipal(root: Path, count: int = 2) -> None:
    names = [f"A{i // 10:04d}_0{i % 7}_{i % 10:02d}.bmp" for i in range(count)]
    for part in (0, 1):  # one label file per reference, images in several archives
        lines = [f"{n},{1400.5 + i}\n" for i, n in enumerate(names) if i % 2 == part]
        write(root / "Train_Label" / f"{part}.txt", "".join(lines))
    pictures(root, [f"Distortion_{1 + i % 4}/{name}" for i, name in enumerate(names)])


def agiqa3k(root: Path, count: int = 2) -> None:
    head = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n"
    names = [f"sd_high_{i:03d}.jpg" for i in range(count)]
    rows = [f'{n},"a bird, {i}",,,anime,{1.1 + i / 20},0.2,3.3,0.3\n' for i, n in enumerate(names)]
    write(root / "data.csv", head + "".join(rows))
    pictures(root / "images", names)


def uhd_iqa(root: Path, count: int = 2) -> None:
    sets = ("training", "test")
    rows = [f"{i}.jpg,{0.25 + i / 100},{sets[i % 2]},night\n" for i in range(count)]
    write(root / "uhd-iqa-metadata.csv", "image_name,quality_mos,set,subset\n" + "".join(rows))
    pictures(root, [f"{sets[i % 2]}/{i}.jpg" for i in range(count)])


def biq2021(root: Path, count: int = 2) -> None:
    """Both csv begin with a byte order mark; the training set's has two empty columns."""
    names = [f"ss03 ({i}).jpg" for i in range(count)]
    rows = [f"{name},{0.25 + i / 100}" for i, name in enumerate(names)]
    train = "".join(f"{row},,\n" for row in rows[::2])
    test = "".join(f"{row}\n" for row in rows[1::2])
    bom = "utf-8-sig"
    write(root / "Train (Images and MOS).csv", "Image Name,MOS,,\n" + train, bom)
    write(root / "Test (Images and MOS).csv", "Image Name,MOS\n" + test, bom)
    pictures(root / "Images", names)


BUILDERS = {
    "koniq": koniq, "koniq-512": koniq, "clive": clive, "spaq": spaq, "flive": flive,
    "cid2013": cid2013, "kadid": kadid, "tid2013": tid2013, "csiq": csiq, "live": live,
    "pipal": pipal, "agiqa3k": agiqa3k, "uhd-iqa": uhd_iqa, "biq2021": biq2021,
}  # fmt: skip


def read(name: str, root: Path, **options: bool) -> pd.DataFrame:
    return load(parse(f"{name}={root}"), **options).frame
