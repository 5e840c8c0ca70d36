"""`python -m benchmarks gmad`: pairs.csv, matrices.json, and errors."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.datasets import COLUMNS as FRAME_COLUMNS
from benchmarks.datasets import Dataset
from benchmarks.gmad.result import COLUMNS
from benchmarks.results.store import Key, Row, Store
from benchmarks.scoring.runner import prepare


def test_command_writes_the_contract(run, table, tmp_path):
    out = tmp_path / "out"
    result = run("--table", table, "--scale", "rank", "--levels", 6, "--width", 9, "--out", out)
    assert result.out.splitlines() == [str(out / "pairs.csv"), str(out / "matrices.json")]
    pairs = pd.read_csv(out / "pairs.csv")
    assert list(pairs.columns) == COLUMNS
    assert len(pairs) == 3 * 2 * 6
    assert pairs["level"].tolist() == [1, 2, 3, 4, 5, 6] * 6
    matrices = json.loads((out / "matrices.json").read_text())
    assert matrices["scale"] == "rank"
    best = {k: matrices[f"{k}_ranking"]["rows"][0] for k in ("aggressiveness", "resistance")}
    assert {row["metric"] for row in best.values()} == {"good"}
    assert all(row["low"] <= row["score"] <= row["high"] for row in best.values())


def test_without_mos_there_is_an_attack_gap_and_nothing_else(run, table, tmp_path):
    frame = pd.read_csv(table).drop(columns="mos")
    frame.to_csv(table, index=False)
    run("--table", table, "--out", tmp_path)
    matrices = json.loads((tmp_path / "matrices.json").read_text())
    assert "attack_gap" in matrices
    assert not [name for name in matrices if "aggress" in name or "resist" in name]
    assert pd.read_csv(tmp_path / "pairs.csv")["mos_best"].isna().all()


def test_same_input_same_bytes_whatever_the_row_order(run, table, tmp_path):
    texts = []
    for name in ("a", "b"):
        run("--table", table, "--out", tmp_path / name)
        texts.append([(tmp_path / name / f).read_bytes() for f in ("pairs.csv", "matrices.json")])
        pd.read_csv(table).sample(frac=1, random_state=1).to_csv(table, index=False)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "logistic"], "needs labels"),
        (["--scale", "cubic"], "'rank', 'logistic'"),
        (["--metric", "good", "--metric", "best"], "no metric column best"),
        (["--distinct", "reference"], "no reference column"),
        (["--distinct", "hash"], "--images DIR"),
        (["--levels", "0"], "at least 1"),
    ],
)
def test_errors_are_one_line_and_exit_2(run, table, tmp_path, words, message):
    pd.read_csv(table).drop(columns=["mos", "reference"]).to_csv(table, index=False)
    result = run("--table", table, "--out", tmp_path / "out", *words, code=2)
    assert message in result.err
    assert not (tmp_path / "out").exists()


def test_usage_errors_exit_2(run, table, tmp_path):
    run("--out", tmp_path, code=2)
    run("--table", table, code=2)
    run("--results", tmp_path, "--out", tmp_path, code=2)


def test_logistic_may_be_fitted_on_another_labelled_table(run, table, tmp_path):
    labels = tmp_path / "labels.csv"
    pd.read_csv(table).to_csv(labels, index=False)
    pd.read_csv(table).drop(columns="mos").to_csv(table, index=False)
    words = ["--table", table, "--scale", "logistic", "--labelled", labels, "--out", tmp_path]
    run(*words)
    matrices = json.loads((tmp_path / "matrices.json").read_text())
    assert matrices["source"]["labelled"] == str(labels)
    assert "aggressiveness" not in matrices  # the pool itself has no MOS


def test_a_pool_without_any_pair_is_reported_not_ranked(wide, run, tmp_path):
    table = wide(image=list("ab"), one=[0.0, 1], two=[0.0, 1], mos=[1.0, 2])
    result = run("--table", table, "--out", tmp_path)
    assert "not ranked" in result.err
    matrices = json.loads((tmp_path / "matrices.json").read_text())
    assert matrices["aggressiveness"] == [[None, None], [None, None]]
    assert matrices["bins"]["single_image"] == 4 and matrices["bins"]["empty"] == 8


def test_distinct_by_hash_reads_the_images(wide, run, tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 256, (40, 45, 3), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    Image.open(tmp_path / "a.png").save(tmp_path / "e.png")
    table = wide(image=[f"{c}.png" for c in "abcde"], one=[9.0, 2, 3, 4, 1], two=[5.0] * 5)
    words = ["--table", table, "--distinct", "hash", "--out", tmp_path]
    run(*words, "--images", tmp_path, "--levels", 1)
    row = pd.read_csv(tmp_path / "pairs.csv").iloc[0]
    assert (row["best"], row["worst"]) == ("a.png", "b.png")  # e.png copies a.png
    run(*words, "--images", tmp_path / "no", code=2)


def write_results(folder, names):
    """Scores of two metrics on six images of each data set."""
    images = [f"{i}.png" for i in range(6)]
    for i, image in enumerate(images):
        (folder / image).write_bytes(bytes([i]))
    frame = pd.DataFrame({"image": images, "mos": np.linspace(1, 5, 6)})
    frame = frame.assign(path=[str(folder / image) for image in images], reference="", split="")
    frame = frame.assign(mos_std=np.nan, level=np.nan, distortion="")[list(FRAME_COLUMNS)]
    for name in names:
        dataset = Dataset(name, "csv", name, frame, 6, 0, {})
        digests = prepare(dataset, folder / "results")["digest"]
        for metric, sign in (("up", 1), ("down", -1)):
            key = Key(name, metric, f"{metric}|v1", False, "native")
            with Store(folder / "results", key) as store:
                store.append(
                    Row(digest, image, float(sign * i), "", 0.1, 2, 2)
                    for i, (digest, image) in enumerate(zip(digests, images, strict=True))
                )
    return folder / "results"


def test_the_one_data_set_of_a_results_folder_is_taken(run, tmp_path):
    run("--results", write_results(tmp_path, ["only"]), "--out", tmp_path / "out")
    source = json.loads((tmp_path / "out" / "matrices.json").read_text())["source"]
    assert source["dataset"] == "only"


def test_of_several_data_sets_one_has_to_be_named(run, tmp_path):
    results = write_results(tmp_path, ["one", "two"])
    shown = run("--results", results, "--out", tmp_path / "out", code=2)
    assert shown.err == f"error: {results} has one, two: choose one with --dataset NAME\n"
    run("--results", results, "--dataset", "two", "--out", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "pairs.csv")) == 2 * 6
