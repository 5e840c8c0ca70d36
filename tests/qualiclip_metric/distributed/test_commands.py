"""`qualiclip score --ray` and `python -m benchmarks run --ray` beside the same without it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

ROOT = Path(__file__).parents[3]


def test_the_benchmark_scores_alike(cluster: Any, shards: Path, tmp_path: Path) -> None:
    _unpacked(shards / "00.tar", tmp_path / "images")
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    labels = pd.DataFrame({"image": names, "mos": range(len(names))})
    labels.to_csv(tmp_path / "images" / "labels.csv", index=False)
    words = ["run", "--metric", "sharpness", "--dataset", "mine:csv=images/labels.csv"]
    words += ["--resamples", "0", "--splits", "0"]
    here = _run(["benchmarks", *words, "--out", "here"], tmp_path)
    there = _run(["benchmarks", *words, "--out", "there", "--ray", cluster.address], tmp_path)
    assert here.returncode == there.returncode == 1, there.stderr  # one image is damaged
    assert _scores(tmp_path / "here").equals(_scores(tmp_path / "there"))
    assert len(_scores(tmp_path / "there")) == 50
    files = [
        sorted(p.relative_to(tmp_path / out) for p in (tmp_path / out).rglob("*"))
        for out in ("here", "there")
    ]
    assert files[0] == files[1]


def _scores(results: Path) -> pd.DataFrame:
    (file,) = (results / "mine").glob("sharpness-*.parquet")
    return pd.read_parquet(file).drop(columns="seconds")


def _unpacked(shard: Path, folder: Path) -> None:
    shutil.unpack_archive(shard, folder)


def _run(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False
    )
