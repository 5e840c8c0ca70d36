"""The summary and the comparison, computed again from the csv tables with scipy alone.

Nothing of `benchmarks` but the command line is used: labels and scores are written as a user would
write them, and each figure is recomputed from these files.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from benchmarks.__main__ import main

N = 90
METRICS = {"good": 0.4, "fair": 1.2, "poor": 2.5}
TOLERANCE = 1e-3
BOOTSTRAP_TOLERANCE = 0.04
"""Of an interval's end: two bootstraps of 2,000 resamples with different random numbers."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A csv of labels with images and splits, and one csv of predictions per metric."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("independent")
    rng = np.random.default_rng(11)
    mos = rng.uniform(1, 5, N).round(2)
    labels = pd.DataFrame({"image": [f"{i}.png" for i in range(N)], "mos": mos})
    labels["split"] = np.where(np.arange(N) % 3 == 0, "test", "training")
    labels.to_csv(folder / "set.csv", index=False)
    for i, name in enumerate(labels["image"]):
        Image.new("RGB", (2, 2), (i, 2 * i, i % 7)).save(folder / name)
    for metric, noise in METRICS.items():
        score = 1 / (1 + np.exp(-(mos - 3 + rng.normal(0, noise, N))))
        score = score.round(2) if metric == "fair" else score  # ties
        frame = pd.DataFrame({"image": labels["image"], "score": score})
        frame.iloc[: 82 if metric == "poor" else N].to_csv(folder / f"{metric}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def results(tables):
    words = [f"--metric=table:{tables}/{metric}.csv" for metric in METRICS]
    words += [f"--dataset=csv={tables}/set.csv", f"--out={tables}/results", "--splits=0"]
    with pytest.raises(SystemExit) as caught:
        main(["run", *words, "--resamples=2000"])
    assert caught.value.code == 1  # "poor" has no score for eight images
    return tables / "results"


def scored(tables, metric, split="all"):
    """Scores and labels of one metric on one split."""
    labels = pd.read_csv(tables / "set.csv").merge(pd.read_csv(tables / f"{metric}.csv"))
    labels = labels if split == "all" else labels[labels["split"] == split]
    return labels["score"].to_numpy(), labels["mos"].to_numpy()


def four(x, high, low, middle, width):
    return low + (high - low) * special.expit((x - middle) / abs(width))


def five(x, height, steepness, middle, slope, offset):
    return height * (special.expit(steepness * (x - middle)) - 0.5) + slope * x + offset


def fitted(x, y, curve, start):
    """Predictions of the least-squares curve from the start that papers use."""
    found, _ = optimize.curve_fit(curve, x, y, p0=start, maxfev=50_000)
    return curve(x, *found)


def plcc(a, b, axis=-1):
    return stats.pearsonr(a, b, axis=axis).statistic


def srcc(a, b, axis=-1):
    """Pearson's correlation of the ranks; `stats.spearmanr` computes one sample at a time."""
    return plcc(stats.rankdata(a, axis=axis), stats.rankdata(b, axis=axis), axis)


def test_every_row_of_the_summary(results, tables):
    summary = pd.read_csv(results / "summary.csv")
    assert len(summary) == len(METRICS) * 3
    for row in summary.to_dict("records"):
        x, y = scored(
            tables, row["metric"].removeprefix("table:").removesuffix(".csv"), row["split"]
        )
        curve4 = fitted(x, y, four, [y.max(), y.min(), x.mean(), x.std() / 4])
        curve5 = fitted(x, y, five, [np.ptp(y), 1 / x.std(), x.mean(), 0.1, y.mean()])
        expected = {
            "n": len(x),
            "srcc": stats.spearmanr(x, y).statistic,
            "krcc": stats.kendalltau(x, y).statistic,
            "plcc": stats.pearsonr(x, y).statistic,
            "plcc4": stats.pearsonr(curve4, y).statistic,
            "rmse": np.sqrt(np.mean((curve4 - y) ** 2)),
        }
        for name, value in expected.items():
            scale = np.ptp(y) if name == "rmse" else 1.0  # in MOS units
            assert row[name] == pytest.approx(value, abs=TOLERANCE * scale), (row["metric"], name)
        # of five parameters, another start may end below the optimum, never above it
        assert row["plcc5"] >= stats.pearsonr(curve5, y).statistic - TOLERANCE


def test_intervals(results, tables):
    rows = pd.read_csv(results / "summary.csv").query("split == 'all'").set_index("metric")
    for metric in METRICS:
        for figure in (srcc, plcc):
            interval = stats.bootstrap(
                scored(tables, metric), figure, paired=True,
                vectorized=True, n_resamples=2000, method="percentile", rng=1,
            ).confidence_interval  # fmt: skip
            row = rows.loc[f"table:{metric}.csv"]
            found = (row[f"{figure.__name__}_low"], row[f"{figure.__name__}_high"])
            assert found == pytest.approx(interval, abs=BOOTSTRAP_TOLERANCE)


def test_comparisons(command, results, tables):
    """Differences, their intervals and Holm's correction, each pair on its common images."""
    shown = command("compare", "--results", results, "--resamples", 2000).out
    pairs = pd.read_csv(results / "compare-set.csv")
    assert pairs["n"].tolist() == [90, 82, 82]
    rng = np.random.default_rng(5)
    ps = []
    for row in pairs.to_dict("records"):
        a, b = (pd.read_csv(tables / row[name].removeprefix("table:"))
                for name in ("metric_a", "metric_b"))  # fmt: skip
        both = pd.read_csv(tables / "set.csv").merge(a, on="image").merge(b, on="image")
        x, y, mos = (both[name].to_numpy() for name in ("score_x", "score_y", "mos"))
        assert row["difference"] == pytest.approx(
            stats.spearmanr(x, mos).statistic - stats.spearmanr(y, mos).statistic, abs=1e-9
        )
        drawn = rng.integers(0, len(mos), (1000, len(mos)))
        samples = srcc(x[drawn], mos[drawn]) - srcc(y[drawn], mos[drawn])
        ends = np.quantile(samples, [0.025, 0.975])
        assert (row["low"], row["high"]) == pytest.approx(ends, abs=BOOTSTRAP_TOLERANCE)
        ps.append(2 * (np.mean(samples <= 0) + 1 / 1001))
    assert pairs["p"].tolist() == pytest.approx(ps, abs=0.02)
    order = np.argsort(pairs["p"].to_numpy(), kind="stable")
    holm, largest = np.empty(3), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, pairs["p"][i] * (3 - place)))
        holm[i] = largest
    np.testing.assert_allclose(pairs["p_holm"], holm)
    assert shown.count("*") == 2 * int((holm < 0.05).sum()) + 1  # and one in the caption
