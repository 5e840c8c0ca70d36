"""Published predictions on upscaled images (AVT): the join of two tables, no image needed.

The scores name an image by ``model`` (``BSRGAN_x2``) and file name; the opinions by a path,
``./stimuli/BSRGAN/x2/FILE``. They meet in (upscaler, factor, file name). Four of the nine metrics
lack 303 of the 1,496 images; such images have NaN there.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from benchmarks.datasets import DatasetError
from benchmarks.datasets.labels import read_table

SCORES, OPINIONS = "avt_upscaling_iqa.csv", "avt_upscaling_mos.csv"

LOWER_IS_BETTER = {
    "BRISQUE": True,
    "CNNIQA": False,
    "DBCNN": False,
    "HYPERIQA": False,
    "ILNIQE": True,
    "MANIQA": False,
    "MUSIQ": False,
    "NIQE": True,
    "paq2piq": False,
}
"""Declared directions, as in pyiqa's configuration of each metric."""


def load(folder: Path) -> pd.DataFrame:
    """Load the joined table: one row per image, one column per metric, higher is better.

    ``image`` is ``UPSCALER_FACTOR/FILE``; ``attrs["metrics"]`` lists the metrics.
    """
    scores = read_table(folder / SCORES, ("model", "metric", "img_id", "quality_score"))
    opinions = read_table(folder / OPINIONS, ("stimuli_file", "mos", "std", "factor", "upscaler"))
    scores["image"] = scores["model"] + "/" + scores["img_id"]
    files = [PurePosixPath(path).name for path in opinions["stimuli_file"]]
    frame = pd.DataFrame(
        {
            "image": opinions["upscaler"] + "_" + opinions["factor"] + "/" + pd.Series(files),
            "mos": opinions["mos"].astype(float),
            "mos_std": opinions["std"].astype(float),
            "reference": opinions["base_img"].astype(str),
            "distortion": opinions["upscaler"].astype(str),
            "level": opinions["factor"].str.lstrip("x").astype(float),
        }
    )
    orphans = set(scores["image"]) - set(frame["image"])
    if orphans:
        raise DatasetError(f"{SCORES}: no opinion on {len(orphans)} images, e.g. {min(orphans)}")
    unknown = set(scores["metric"]) - set(LOWER_IS_BETTER)
    if unknown:
        raise DatasetError(f"{SCORES}: no declared direction for {', '.join(sorted(unknown))}")
    signs = scores["metric"].map({m: -1.0 if low else 1.0 for m, low in LOWER_IS_BETTER.items()})
    scores["quality_score"] = scores["quality_score"] * signs
    wide = scores.pivot(index="image", columns="metric", values="quality_score")
    joined = frame.merge(wide, left_on="image", right_index=True, how="left", validate="1:1")
    joined.attrs["metrics"] = sorted(wide.columns)
    return joined
