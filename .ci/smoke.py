"""Use the installed wheel as a stranger would, from a folder outside the checkout.

`python CHECKOUT/.ci/smoke.py CHECKOUT`: scores the golden images, a file and pyiqa's metric with
the package that pip installed. The checkout only lends the golden file.
"""

import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import pyiqa
from PIL import Image
from skimage import data

import qualiclip_metric
from qualiclip_metric import golden


def main(checkout: Path) -> None:
    """Stop at the first thing that is not as it should be."""
    package = Path(qualiclip_metric.__file__)
    expect(not package.is_relative_to(checkout.resolve()), f"{package} is the checkout's")
    expect(importlib.util.find_spec("benchmarks") is None, "the wheel ships benchmarks")
    version = subprocess.check_output(["qualiclip", "--version"], text=True).split()[-1]
    expect(version == metadata.version("qualiclip-metric"), f"the command says {version}")

    frozen = golden.load(checkout / "benchmarks" / "golden" / "lite.json")
    report = golden.check(qualiclip_metric.create("lite"), frozen)
    print(report.describe())
    expect(report.ok, "golden scores moved")

    with TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        Image.fromarray(data.astronaut()).save(photo)
        command = ["qualiclip", "score", str(photo), "--format", "json", "--precision", "fp32"]
        shown = json.loads(subprocess.check_output(command, text=True))
        by_pyiqa = float(pyiqa.create_metric("qualiclip", weights="lite")(str(photo)))
    (row,) = shown["images"]
    print(f"command line {row['score']:.6f}, pyiqa {by_pyiqa:.6f}")
    expect(abs(row["score"] - by_pyiqa) < 1e-4, "the command line and pyiqa differ")


def expect(true: bool, otherwise: str) -> None:
    """Stop with the reason where something does not hold."""
    if not true:
        sys.exit(otherwise)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
