"""`qualiclip score --ray` and `python -m benchmarks run --ray` beside the same without it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow


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


def test_score_gives_the_same_rows(cluster: Any, shards: Path, tmp_path: Path) -> None:
    """Of shards, files and a table with images and a column; resumed, and refused."""
    images = _inputs(shards, tmp_path)
    words = ["qualiclip_metric", "score", *images, "--precision", "fp32", "--engine", "torch"]
    words += ["--pairs", "--min", "0.5", "--percentile"]
    here = _run([*words, "--out", "here/"], tmp_path, OMP_NUM_THREADS="1")
    on_ray = [*words, "--ray", cluster.address, "--out", "there/"]
    there = _run(on_ray, tmp_path)
    assert here.returncode == there.returncode == 1, there.stderr
    assert "2 of 71 images" in there.stderr
    rows = _rows(tmp_path / "there")
    assert rows == _rows(tmp_path / "here")
    assert sum(row["score"] is not None for row in rows) == 69
    names = {part.name for part in (tmp_path / "there").iterdir()}
    min((tmp_path / "there").iterdir()).unlink()
    again = _run(on_ray, tmp_path)
    assert _rows(tmp_path / "there") == rows
    assert names & {part.name for part in (tmp_path / "there").iterdir()} or len(names) == 1
    refused = _run([*on_ray, "--size", "native"], tmp_path)
    assert refused.returncode == 2
    assert "size:512" in refused.stderr
    assert again.returncode == 1


def _inputs(shards: Path, folder: Path) -> list[str]:
    """A shard, a folder, tables with images and with paths, a photo once more; 71 images in all."""
    shutil.copy(shards / "00.tar", folder / "a.tar")
    _unpacked(shards / "01.tar", folder / "photos")
    files = sorted((folder / "photos").iterdir())
    for file in files[10:]:
        file.unlink()
    (folder / "others").mkdir()
    tables: dict[str, list[dict[str, Any]]] = {"held.parquet": [], "named.parquet": []}
    _unpacked(shards / "03.tar", folder / "others")
    for number, file in enumerate(sorted((folder / "others").iterdir())[1:11]):
        rows = tables["held.parquet" if number % 2 else "named.parquet"]
        image = file.read_bytes() if number % 2 else f"others/{file.name}"
        rows.append({"image": image, "label": number, "name": file.name})
    tables["named.parquet"][0]["image"] = "others/none.jpg"
    for name, rows in tables.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return ["a.tar", "photos", *tables, f"photos/{files[0].name}"]


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = [row for part in folder.glob("*.parquet") for row in pq.read_table(part).to_pylist()]
    return sorted(rows, key=lambda row: str(row["key"]))


def _scores(results: Path) -> pd.DataFrame:
    (file,) = (results / "mine").glob("sharpness-*.parquet")
    return pd.read_parquet(file).drop(columns="seconds")


def _unpacked(shard: Path, folder: Path) -> None:
    shutil.unpack_archive(shard, folder)


def _run(words: list[str], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
