"""Results of published tables on small images: no metric runs."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.datasets import Dataset
from benchmarks.metrics.build import build_scorer
from benchmarks.results.summary import Statistics, note_unavailable, summarise
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings

COUNT = 120


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Results of three published tables on 120 tiny images of a partial set of 200."""
    root = tmp_path_factory.mktemp("summary")
    rng = np.random.default_rng(0)
    mos = rng.uniform(1, 5, COUNT)
    names = [f"{i}.png" for i in range(COUNT)]
    for i, name in enumerate(names):
        Image.new("RGB", (2, 2), (i, 2 * i, i % 7)).save(root / name)
    frame = pd.DataFrame(
        {
            "image": names,
            "path": [str(root / name) for name in names],
            "mos": mos,
            "mos_std": np.nan,
            "reference": [f"r{i // 3}" for i in range(COUNT)],
            "distortion": "",
            "level": np.nan,
            "split": ["test" if i % 3 == 0 else "training" for i in range(COUNT)],
        }
    )
    notes = {"licence": "none"}
    dataset = Dataset("part", "csv", "Part", frame, count=160, count_official=200, notes=notes)
    out = root / "results"
    known = runner.prepare(dataset, out)
    noise = rng.normal(size=COUNT)
    fair = -(mos + noise)
    fair[7] = np.nan
    for name, scores in {"good": mos + noise / 4, "fair": fair, "poor": noise}.items():
        table = root / f"{name}.csv"
        pd.DataFrame({"image": names, "score": scores}).to_csv(table, index=False)
        text = f"table:{table}" + (",lower_is_better=true" if name == "fair" else "")
        runner.run(build_scorer(text), Settings(text), dataset, known, out)
    note_unavailable(out, "part", {"pyiqa:musiq": "cannot be built here: no network"})
    return out


@pytest.fixture(scope="session")
def summary(folder):
    return summarise(folder, Statistics(resamples=50, splits=4))


@pytest.fixture
def one(summary):
    """The one row of a published table's metric and split."""

    def row(metric, split):
        rows = summary[(summary["metric"] == f"table:{metric}.csv") & (summary["split"] == split)]
        assert len(rows) == 1
        return rows.iloc[0]

    return row
