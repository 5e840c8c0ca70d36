"""The command line, and results whose names and texts try to break a page."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.datasets import COLUMNS, Dataset
from benchmarks.results.store import Key, Row, Store
from benchmarks.scoring.runner import prepare

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def command(capsys):
    """Run `python -m benchmarks WORDS`, check its exit code, and give its stdout and stderr."""

    def run(*words, code=0):
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        shown = capsys.readouterr()
        assert caught.value.code == code, shown.err
        return shown

    return run


def write_dataset(results, images, name, count, notes, metrics):
    """Images of random blocks, labels, and scores made from them; one image cannot be read.

    A metric is a name, the noise of its scores (NaN: it fails everywhere) and its direction.
    """
    rng = np.random.default_rng(len(name))
    mos = np.linspace(1, 5, count)
    names = [f"{i:03d}{EVIL if i == 3 else ''}.png" for i in range(count)]
    paths = [images / f"{name}-{image}" for image in names]
    for path in paths:
        block = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        block.resize((160, 120), Image.Resampling.NEAREST).save(path)
    paths[5].write_bytes(b"no image")
    frame = pd.DataFrame({"image": names, "path": [str(p) for p in paths], "mos": mos})
    frame = frame.assign(mos_std=np.nan, level=np.nan, reference="", distortion="", split="")
    dataset = Dataset(name, "csv", f"Set {EVIL}", frame[list(COLUMNS)], count, 0, notes)
    digests = prepare(dataset, results)["digest"]
    for metric, noise, lower in metrics:
        key = Key(name, metric, f"{metric}|{EVIL}|v1", lower, "native")
        scores = (-1 if lower else 1) * (mos + rng.normal(0, noise, count))
        error = "no memory" if np.isnan(noise) else ""
        with Store(results, key) as store:
            store.append(
                Row(d, n, float(s), error, 0.01 * (noise + 1), 120, 160)
                for d, n, s in zip(digests, names, scores, strict=True)
            )


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Two datasets, one of which has labels that are no opinions."""
    folder = tmp_path_factory.mktemp("results")
    images = tmp_path_factory.mktemp("images")
    metrics = [(f"good{EVIL}", 0.3, False), ("fair", 1.0, True), ("poor", 4.0, False)]
    notes = {"licence": f"licence {EVIL}", "label_note": ""}
    write_dataset(folder, images, "alpha", 60, notes, metrics)
    notes = {"label_name": "distortion level", "label_note": "Levels, no MOS."}
    write_dataset(folder, images, "beta", 24, notes, [*metrics[:2], ("broken", np.nan, False)])
    (folder / "alpha" / "unavailable.json").write_text(f'{{"absent": "no weights {EVIL}"}}')
    return folder
