"""Readers of the official label layouts, one per data set: folder -> raw frame.

A raw frame has ``image`` (relative to the folder), ``mos`` as published, and further columns where
the release has them. Each docstring names the peculiarities of its release.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets.labels import missing_labels, read_csv, read_matlab, read_table
from benchmarks.datasets.spec import DatasetError


def koniq(root: Path, folder: str) -> pd.DataFrame:
    """KonIQ-10k. MOS is on 1..100 in the csv with the official sets, on 1..5 in the older one."""
    for name in ("koniq10k_distributions_sets.csv", "koniq10k_scores_and_distributions.csv"):
        if (root / name).is_file():
            labels = read_table(root / name, ("image_name", "MOS", "SD"))
            break
    else:
        raise missing_labels(root, "koniq10k_distributions_sets.csv")
    return pd.DataFrame(
        {
            "image": folder + "/" + labels["image_name"].astype(str),
            "mos": labels["MOS"],
            "mos_std": labels["SD"],
            "split": labels.get("set", ""),
        }
    )


def clive(root: Path) -> pd.DataFrame:
    """LIVE in the Wild. The lists hold 1,169 names; t1..t7 were training images for subjects."""
    names = [str(cell.item()) for cell in read_matlab(root / "Data/AllImages_release.mat").ravel()]
    mos = read_matlab(root / "Data/AllMOS_release.mat").ravel()
    std = read_matlab(root / "Data/AllStdDev_release.mat").ravel()
    if not len(names) == len(mos) == len(std):
        raise DatasetError(
            f"clive: the lists under {root / 'Data'} differ in length: "
            f"{len(names)} names, {len(mos)} MOS, {len(std)} deviations"
        )
    frame = pd.DataFrame({"image": names, "mos": mos, "mos_std": std})
    rated = ~frame["image"].str.fullmatch(r"t[1-7]\.bmp")
    frame["image"] = "Images/" + frame["image"]
    return frame[rated]


def spaq(root: Path) -> pd.DataFrame:
    """SPAQ. An Excel table with MOS on 0..100 and five attributes; no deviations."""
    path = root / "Annotations" / "MOS and Image attribute scores.xlsx"
    labels = read_table(path, ("Image name", "MOS"))
    return pd.DataFrame(
        {"image": "TestImage/" + labels["Image name"].astype(str), "mos": labels["MOS"]}
    )


def biq2021(root: Path) -> pd.DataFrame:
    """BIQ2021. One csv per official set, MOS on 0..1; the training set's has two empty columns."""
    parts = []
    for name, split in (("Train", "training"), ("Test", "test")):
        labels = read_table(root / f"{name} (Images and MOS).csv", ("Image Name", "MOS"))
        image = "Images/" + labels["Image Name"].astype(str)
        parts.append(pd.DataFrame({"image": image, "mos": labels["MOS"], "split": split}))
    return pd.concat(parts, ignore_index=True)


def flive(root: Path) -> pd.DataFrame:
    """FLIVE (PaQ-2-PiQ), whole images. The official split is spread over two more files.

    Test = images with a side above 640 pixels (``labels>640.csv``); validation = rows with
    ``is_valid`` in ``labels<=640_padded.csv``; the rest is for training.
    """
    base = next((d for d in (root / "database", root) if (d / "labels_image.csv").is_file()), root)
    labels = read_table(base / "labels_image.csv", ("name", "mos"))
    folder = "database/" if base != root or (root / "database").is_dir() else ""
    split = pd.Series("", index=labels.index)
    large, small = base / "labels>640.csv", base / "labels<=640_padded.csv"
    if large.is_file() and small.is_file():
        test = set(read_table(large, ("name_image",))["name_image"])
        rest = read_table(small, ("name_image", "is_valid"))
        valid = set(rest.loc[rest["is_valid"].astype(str).str.lower() == "true", "name_image"])
        split[:] = "training"
        split[labels["name"].isin(valid)] = "validation"
        split[labels["name"].isin(test)] = "test"
    return pd.DataFrame(
        {"image": folder + labels["name"].astype(str), "mos": labels["mos"], "split": split}
    )


def cid2013(root: Path) -> pd.DataFrame:
    """CID2013. Six image sets on separate scales; the realigned MOS puts them on one.

    ``IS_II_C03_D05`` lies in ``IS2/co3/``; scene and set form the group (same content).
    """
    path = root / "CID2013 data - version 12112014.xlsx"
    labels = read_table(path, ("Source_ID", "Realigned MOS"), sheet="CID2013 MOS")
    labels = labels[labels["Source_ID"].notna()]
    parts = labels["Source_ID"].astype(str).str.extract(r"^(IS_([IV]+)_C(\d+))_D\d+$")
    if parts.isna().any(axis=None):
        raise DatasetError(f"cid2013: {path.name} has a Source_ID that is not like IS_I_C01_D01")
    roman = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
    folder = "IS" + parts[1].map(roman) + "/co" + parts[2].astype(int).astype(str) + "/"
    return pd.DataFrame(
        {
            "image": folder + labels["Source_ID"].astype(str) + ".jpg",
            "mos": labels["Realigned MOS"],
            "reference": parts[0],
        }
    )


def kadid(root: Path) -> pd.DataFrame:
    """KADID-10k. The column says dmos, yet 5 is the best: it is a MOS. ``var`` is a variance."""
    labels = read_table(root / "dmos.csv", ("dist_img", "ref_img", "dmos", "var"))
    parts = labels["dist_img"].astype(str).str.extract(r"_(\d+)_(\d+)\.\w+$")
    return pd.DataFrame(
        {
            "image": "images/" + labels["dist_img"].astype(str),
            "mos": labels["dmos"],
            "mos_std": np.sqrt(labels["var"].astype(float)),
            "reference": labels["ref_img"].astype(str),
            "distortion": parts[0],
            "level": parts[1].astype(float),
        }
    )


def tid2013(root: Path) -> pd.DataFrame:
    """TID2013. "MOS name" lines, deviations in a second file; letter case of the names varies."""
    path, deviations = root / "mos_with_names.txt", root / "mos_std.txt"
    if not path.is_file():
        raise missing_labels(root, path.name)
    labels = read_csv(path, sep=r"\s+", header=None, names=["mos", "image"])
    parts = labels["image"].astype(str).str.extract(r"^[iI](\d+)_(\d+)_(\d+)\.\w+$")
    if parts.isna().any(axis=None):
        raise DatasetError(f"tid2013: {path} has a line that is not like '5.51 I01_01_1.bmp'")
    frame = pd.DataFrame(
        {
            "image": "distorted_images/" + labels["image"].astype(str),
            "mos": labels["mos"],
            "reference": "I" + parts[0],
            "distortion": parts[1],
            "level": parts[2].astype(float),
        }
    )
    if deviations.is_file():
        std = np.loadtxt(deviations, ndmin=1)
        if len(std) != len(frame):
            raise DatasetError(
                f"tid2013: {deviations.name} has {len(std)} lines, {path.name} has {len(frame)}"
            )
        frame["mos_std"] = std
    return frame


_CSIQ = {
    "noise": ("awgn", "AWGN"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
    "fnoise": ("fnoise", "fnoise"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}
"""Distortion in the Excel table -> (folder, token in the file name)."""


def csiq(root: Path) -> pd.DataFrame:
    """CSIQ. DMOS on 0..1; the Excel header is not in the first row, one image is the number 1600.

    Without the Excel table, ``csiq_label.txt`` ("1600.AWGN.1.png 0.062") is read.
    """
    path, text = root / "csiq.DMOS.xlsx", root / "csiq_label.txt"
    if path.is_file():
        columns = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")
        labels = read_table(path, columns, sheet="all_by_image")
        labels = labels[labels["dmos"].notna() & labels["image"].notna()]
        kinds = labels["dst_type"].astype(str).str.strip().str.lower()
        unknown = sorted(set(kinds) - set(_CSIQ))
        if unknown:
            raise DatasetError(f"csiq: {path.name} has unknown distortion(s) {unknown}")
        reference = labels["image"].astype(str)
        level = labels["dst_lev"].astype(int)
        tokens = kinds.map({kind: pair[1] for kind, pair in _CSIQ.items()})
        names = reference + "." + tokens + "." + level.astype(str) + ".png"
        scores: dict[str, Any] = {"mos": labels["dmos"], "mos_std": labels["dmos_std"]}
    elif text.is_file():
        labels = read_csv(text, sep=r"\s+", header=None, names=["name", "dmos"], dtype={0: str})
        names = labels["name"].astype(str)
        names = names.where(names.str.endswith(".png"), names + ".png")
        tokens = names.str.split(".").str[-3]
        reference = names.str.rsplit(".", n=3).str[0]
        level = names.str.split(".").str[-2].astype(int)
        scores = {"mos": labels["dmos"]}
    else:
        raise missing_labels(root, "csiq.DMOS.xlsx or csiq_label.txt")
    folders = {token: folder for folder, token in _CSIQ.values()}
    flat = not any((root / "dst_imgs" / folder).is_dir() for folder in folders.values())
    prefix = "dst_imgs/" if flat else "dst_imgs/" + tokens.map(folders) + "/"
    return pd.DataFrame(
        {
            "image": prefix + names,
            **scores,
            "reference": reference,
            "distortion": tokens,
            "level": level.astype(float),
        }
    )


LIVE_PARTS = (("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174))
"""Folders of LIVE release 2 in the order of the score vector, with their image counts."""


def live(root: Path) -> pd.DataFrame:
    """LIVE release 2. One vector of realigned DMOS over five folders; originals are left out.

    ``orgs`` marks the 203 positions that hold an undistorted copy (DMOS 0 by definition).
    """
    path = root / "dmos_realigned.mat"
    dmos = read_matlab(path, "dmos_new").ravel()
    original = read_matlab(path, "orgs").ravel().astype(bool)
    std = read_matlab(path, "dmos_std", optional=True).ravel()
    references = [str(cell.item()) for cell in read_matlab(root / "refnames_all.mat").ravel()]
    images = [f"{name}/img{i + 1}.bmp" for name, count in LIVE_PARTS for i in range(count)]
    if not len(dmos) == len(original) == len(references) == len(images):
        raise DatasetError(
            f"live: expected {len(images)} scores, got {len(dmos)} in {path.name}, "
            f"{len(original)} flags and {len(references)} reference names"
        )
    frame = pd.DataFrame(
        {
            "image": images,
            "mos": dmos,
            "mos_std": std if len(std) == len(dmos) else np.nan,
            "reference": references,
            "distortion": [name for name, count in LIVE_PARTS for _ in range(count)],
        }
    )
    return frame[~original]


def pipal(root: Path) -> pd.DataFrame:
    """PIPAL, training set. ``A0001_03_07.bmp,1437.6`` per line: reference, distortion type, number.

    The numbers within a type are no ordered levels. The release's images come in four archives.
    """
    files = sorted((root / "Train_Label").glob("*.txt"))
    if not files:
        raise missing_labels(root, "Train_Label/*.txt")
    labels = pd.concat([read_csv(file, header=None, names=["image", "mos"]) for file in files])
    names = labels["image"].astype(str)
    parts = names.str.extract(r"^([A-Z]\d+)_(\d+)_\d+\.\w+$")
    if parts.isna().any(axis=None):
        raise DatasetError("pipal: Train_Label has a line that is not like 'A0001_03_07.bmp,1437'")
    # the archives' folders are not documented: any folder serves, since names do not repeat
    found = {path.name: path.relative_to(root).as_posix() for path in sorted(root.rglob("*.*"))}
    return pd.DataFrame(
        {
            "image": [found.get(name, name) for name in names],
            "mos": labels["mos"],
            "reference": parts[0],
            "distortion": parts[1],
        }
    )


def agiqa3k(root: Path) -> pd.DataFrame:
    """AGIQA-3K. ``mos_quality`` is about quality, ``mos_align`` is not; one folder of images."""
    labels = read_table(root / "data.csv", ("name", "prompt", "mos_quality", "std_quality"))
    first = str(labels["name"].iloc[0])
    folders = ("", "AGIQA-3K", "images", "image", "Images")
    folder = next((f for f in folders if (root / f / first).is_file()), "")
    prefix = f"{folder}/" if folder else ""
    return pd.DataFrame(
        {
            "image": prefix + labels["name"].astype(str),
            "mos": labels["mos_quality"],
            "mos_std": labels["std_quality"],
            "reference": labels["prompt"].astype(str),
        }
    )


def uhd_iqa(root: Path) -> pd.DataFrame:
    """UHD-IQA. MOS on 0..1; images lie in one folder per official set."""
    labels = read_table(root / "uhd-iqa-metadata.csv", ("image_name", "quality_mos", "set"))
    return pd.DataFrame(
        {
            "image": labels["set"].astype(str) + "/" + labels["image_name"].astype(str),
            "mos": labels["quality_mos"],
            "split": labels["set"],
        }
    )


def csv(path: Path) -> pd.DataFrame:
    """One's own table: ``image`` and ``mos`` (or ``dmos``), any other of the frame's columns."""
    frame = read_table(path, ("image",))
    if "mos" not in frame and "dmos" not in frame:
        raise DatasetError(
            f"{path}: no column mos (higher is better) or dmos (lower is better); "
            f"found {', '.join(frame.columns)}"
        )
    return frame
