"""Tables in, pairs.csv and matrices.json out; scales, matrices and the command line."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.gmad.competition import Design
from benchmarks.gmad.matrices import Cells, aggressiveness, resample, resistance
from benchmarks.gmad.near_duplicates import difference_hash, group_hashes
from benchmarks.gmad.pool import pool_from_results, read_wide
from benchmarks.gmad.result import COLUMNS, mos_preference, play, summarise
from benchmarks.gmad.scale import logistic_scale, to_common_scale

PREDICTIONS = Path(__file__).parents[4] / "shared" / "data" / "predictions"


def wide(tmp_path, **columns):
    path = tmp_path / "wide.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path):
    """60 images, a good, a fair and a useless metric, references and MOS."""
    rng = np.random.default_rng(3)
    mos = rng.uniform(1, 5, 60)
    return wide(
        tmp_path,
        image=[f"{i:02d}.png" for i in range(60)],
        good=mos + rng.normal(0, 0.3, 60),
        fair=mos + rng.normal(0, 1.0, 60),
        useless=rng.normal(size=60),
        mos=mos,
        reference=[f"ref{i % 7}" for i in range(60)],
    )


@pytest.fixture
def run(command):
    """`python -m benchmarks gmad`."""
    return partial(command, "gmad")


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


def test_names_are_text_and_missing_scores_leave_an_image_out(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("image,a,b\n10,1,4\n9,1,3\nNA,1,2\n1,2,1\n7,,9\n")
    pool = read_wide(path)
    assert (pool.images, pool.dropped) == (["1", "10", "9", "NA"], 1)
    assert pool.notes == ["1 images left out: not scored by every metric"]
    pairs = play(pool, Design(levels=1, width=50), "rank").table()
    row = pairs[pairs["attacker"] == "a"].iloc[0]
    assert (row["best"], row["worst"]) == ("1", "10")  # of the three tied, "10" sorts first


def test_lower_better_metrics_are_turned_and_wrong_directions_are_noted(table):
    frame = pd.read_csv(table)
    frame["good"] = -frame["good"]
    frame.to_csv(table, index=False)
    assert "--lower-better good" in read_wide(table).notes[0]
    turned = read_wide(table, lower_better=["good"])
    assert turned.notes == []
    np.testing.assert_array_equal(turned.scores[:, 0], -frame["good"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,a,b\nx,1,2\n", "expected a column 'image'"),
        ("image,a\nx,1\ny,2\n", "two or more different metrics"),
        ("image,a,b\nx,1,2\nx,3,4\n", "'x' appears more than once"),
        ("image,a,b\nx,1,2\ny,fine,4\n", "'fine', which is no number"),
        ("image,a,b\nx,1,2\ny,,4\n", "two or more images scored"),
        ("", "expected a csv table"),
    ],
)
def test_wrong_tables_are_refused_with_the_cure(tmp_path, text, message):
    path = tmp_path / "wide.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_wide(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "logistic"], "needs labels"),
        (["--scale", "cubic"], "rank, logistic"),
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


def test_logistic_scale_is_monotone_bounded_and_follows_the_labels():
    rng = np.random.default_rng(0)
    score = rng.normal(size=300)
    mos = 1 + 4 / (1 + np.exp(-2 * score))
    mapped = logistic_scale(score, score, mos)
    order = np.argsort(score)
    assert (np.diff(mapped[order]) >= 0).all()
    assert mapped.min() >= 0 and mapped.max() <= 100
    np.testing.assert_allclose(mapped, 100 * (mos - mos.min()) / np.ptp(mos), atol=1.0)
    np.testing.assert_allclose(logistic_scale(-score, -score, mos), mapped, atol=1e-3)


def test_a_failed_fit_is_said_with_the_metrics_name(table):
    frame = pd.read_csv(table)
    frame["useless"] = 1.0
    frame.to_csv(table, index=False)
    pool = read_wide(table)
    with pytest.raises(ValueError, match=r"logistic fit failed for useless: .*equal.*--scale rank"):
        to_common_scale("logistic", pool.scores, pool.metrics, pool.labelled)


def test_logistic_may_be_fitted_on_another_labelled_table(run, table, tmp_path):
    labels = tmp_path / "labels.csv"
    pd.read_csv(table).to_csv(labels, index=False)
    pd.read_csv(table).drop(columns="mos").to_csv(table, index=False)
    words = ["--table", table, "--scale", "logistic", "--labelled", labels, "--out", tmp_path]
    run(*words)
    matrices = json.loads((tmp_path / "matrices.json").read_text())
    assert matrices["source"]["labelled"] == str(labels)
    assert "aggressiveness" not in matrices  # the pool itself has no MOS


def test_distinct_references_never_share_a_pair(table):
    pool = read_wide(table)
    pairs = play(pool, Design(pairs=2), "rank", contents=pool.reference).table().dropna()
    reference = dict(zip(pool.images, pool.reference, strict=True))
    assert len(pairs) > 30
    assert all(reference[b] != reference[w] for b, w in zip(pairs.best, pairs.worst, strict=True))


def test_matrices_by_hand():
    """Attacker 0 against 1 in bins of 30 and 10 images; 1 against 0 once, wrongly."""
    cells = Cells(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([30.0, 10.0, 8.0]), 2)
    preference = np.array([80.0, -40.0, -20.0])
    expected = [[np.nan, (30 * 80 - 10 * 40) / 40], [0, np.nan]]
    np.testing.assert_allclose(aggressiveness(cells, preference)[0], expected)
    expected = [[np.nan, 80], [(30 * 20 + 10 * 60) / 40, np.nan]]
    np.testing.assert_allclose(resistance(cells, preference)[0], expected)


def test_bootstrap_draws_within_cells():
    cells = Cells(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0]), np.ones(4), 2)
    counts = resample(cells, 200, np.random.default_rng(0))
    assert (counts[:, :3].sum(axis=1) == 3).all() and (counts[:, 3] == 1).all()
    assert counts[:, :3].std() > 0.5


def test_mos_preference_is_percent_of_the_pools_range(table):
    pool = read_wide(table)
    pairs = play(pool, Design(), "rank").table()
    preference = mos_preference(pairs, pool.mos)
    row = pairs.iloc[0]
    expected = 100 * (row.mos_best - row.mos_worst) / np.ptp(pool.mos)
    assert preference[0] == pytest.approx(expected)
    assert mos_preference(pairs, np.empty(0)) is None


def test_bins_are_counted_by_what_became_of_them(tmp_path):
    table = wide(
        tmp_path,
        image=list("abcde"),
        one=[0.0, 1, 2, 3, 4],
        two=[0.0, 0, 0, 0, 4],
    )
    pool = read_wide(table)
    pairs = play(pool, Design(levels=3, width=9, min_gap=30), "rank").table()
    bins = summarise(pairs, pool.metrics, None)["bins"]
    states = bins["paired"] + bins["empty"] + bins["single_image"] + bins["no_pair_allowed"]
    assert bins["asked"] == states == 6
    assert bins["empty"] > 0 and bins["single_image"] > 0


def test_a_pool_without_any_pair_is_reported_not_ranked(run, tmp_path):
    table = wide(tmp_path, image=list("ab"), one=[0.0, 1], two=[0.0, 1], mos=[1.0, 2])
    result = run("--table", table, "--out", tmp_path)
    assert "not ranked" in result.err
    matrices = json.loads((tmp_path / "matrices.json").read_text())
    assert matrices["aggressiveness"] == [[None, None], [None, None]]
    assert matrices["bins"]["single_image"] == 4 and matrices["bins"]["empty"] == 8


def test_results_frames_become_pools():
    frame = pd.DataFrame(
        {
            "image": ["b", "a"],
            "path": ["/x/b", "/x/a"],
            "mos": [1.0, 2.0],
            "reference": ["", ""],
            "lite": [0.1, 0.9],
            "niqe": [-3.0, -2.0],
        }
    )
    frame.attrs = {"metrics": ["lite", "niqe"], "signatures": {"lite": "lite|v0", "niqe": "niqe"}}
    pool = pool_from_results(frame)
    assert (pool.images, pool.paths) == (["a", "b"], ["/x/a", "/x/b"])
    assert pool.signatures == frame.attrs["signatures"]
    np.testing.assert_array_equal(pool.scores, [[0.9, -2], [0.1, -3]])


def test_hashes_group_copies_and_separate_contents():
    rng = np.random.default_rng(0)
    scenes = [Image.fromarray(rng.integers(0, 256, (8, 9), dtype=np.uint8)) for _ in range(6)]
    pictures = [
        s.resize(size, Image.Resampling.NEAREST) for s in scenes for size in ((90, 80), (180, 160))
    ]
    hashes = np.array([difference_hash(p) for p in pictures], dtype=np.uint64)
    assert pd.factorize(group_hashes(hashes))[0].tolist() == [i // 2 for i in range(12)]


def test_hash_groups_equal_brute_force():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**63, size=5, dtype=np.uint64)
    hashes = np.concatenate([base ^ (np.uint64(1) << np.uint64(b)) for b in (0, 9, 33, 60)])
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 2
    groups = group_hashes(hashes, bits=2)
    np.testing.assert_array_equal(near, groups[:, None] == groups[None])
    with pytest.raises(ValueError, match=r"0\.\.7"):
        group_hashes(hashes, bits=8)


def test_distinct_by_hash_reads_the_images(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 256, (40, 45, 3), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    Image.open(tmp_path / "a.png").save(tmp_path / "e.png")
    table = wide(
        tmp_path, image=[f"{c}.png" for c in "abcde"], one=[9.0, 2, 3, 4, 1], two=[5.0] * 5
    )
    run(
        "--table",
        table,
        "--distinct",
        "hash",
        "--images",
        tmp_path,
        "--out",
        tmp_path,
        "--levels",
        1,
    )
    row = pd.read_csv(tmp_path / "pairs.csv").iloc[0]
    assert (row["best"], row["worst"]) == ("a.png", "b.png")  # e.png copies a.png
    run(
        "--table",
        table,
        "--distinct",
        "hash",
        "--images",
        tmp_path / "no",
        "--out",
        tmp_path,
        code=2,
    )


@pytest.mark.skipif(not PREDICTIONS.exists(), reason="../shared/data/predictions is absent")
def test_real_predictions():
    """Nine metrics on upscaled images: every row against the definition, and a sane ranking."""
    from benchmarks.datasets import avt

    frame = avt.load(PREDICTIONS)
    frame.attrs.setdefault("signatures", {})
    pool = pool_from_results(frame)
    outcome = play(pool, Design(), "rank")
    table, scaled = outcome.table(), pd.DataFrame(outcome.scores, pool.images, pool.metrics)
    assert len(pool.metrics) == 9 and len(pool.images) > 1000 and len(table) == 9 * 8 * 6
    for row in table.itertuples():
        inside = scaled[(scaled[row.defender] - row.centre).abs() <= 9 + 1e-9].sort_index()
        assert len(inside) == row.population
        if row.population > 1:
            assert inside[row.attacker].idxmax() == row.best
            assert inside[row.attacker].idxmin() == row.worst
    summary = summarise(table, pool.metrics, mos_preference(table, pool.mos), resamples=50)
    srcc = scaled.corrwith(pd.Series(pool.mos, pool.images), method="spearman")
    scores = {r["metric"]: r["score"] for r in summary["aggressiveness_ranking"]["rows"]}
    assert srcc.corr(pd.Series(scores), method="spearman") > 0.5
