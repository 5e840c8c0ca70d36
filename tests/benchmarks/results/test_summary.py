"""Summary rows, tables, comparisons, splits, published predictions, and the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from benchmarks import __main__ as cli
from benchmarks.datasets import Dataset
from benchmarks.datasets import avt as predictions
from benchmarks.datasets.splits import random_tests
from benchmarks.formatting import markdown, number
from benchmarks.metrics.build import build
from benchmarks.results import folder as results
from benchmarks.results import tables
from benchmarks.results.predictions import agreements
from benchmarks.results.summary import COLUMNS, Statistics, note_unavailable, summarise
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings
from benchmarks.stats.significance import compare

SHARED = Path(__file__).parents[4] / "shared" / "data"
FEW = Statistics(resamples=50, splits=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three published tables (no scoring) on 60 tiny images of a partial set."""
    root = tmp_path_factory.mktemp("summary")
    rng = np.random.default_rng(0)
    mos = rng.uniform(1, 5, 60)
    names = [f"{i}.png" for i in range(60)]
    for i, name in enumerate(names):
        Image.new("RGB", (2, 2), (i, 2 * i, 3 * i)).save(root / name)
    frame = pd.DataFrame(
        {
            "image": names,
            "path": [str(root / name) for name in names],
            "mos": mos,
            "mos_std": np.nan,
            "reference": [f"r{i // 3}" for i in range(60)],
            "distortion": "",
            "level": np.nan,
            "split": ["test" if i % 3 == 0 else "training" for i in range(60)],
        }
    )
    notes = {"licence": "none"}
    dataset = Dataset("part", "csv", "Part", frame, count=80, count_official=100, notes=notes)
    out = root / "results"
    known = runner.prepare(dataset, out)
    noise = rng.normal(size=60)
    fair = -(mos + noise)
    fair[7] = np.nan
    for name, scores in {"good": mos + noise / 4, "fair": fair, "poor": noise}.items():
        table = root / f"{name}.csv"
        pd.DataFrame({"image": names, "score": scores}).to_csv(table, index=False)
        text = f"table:{table}" + (",lower_is_better=true" if name == "fair" else "")
        runner.run(build(text), Settings(text), dataset, known, out)
    note_unavailable(out, "part", {"pyiqa:musiq": "cannot be built here: no network"})
    return out


@pytest.fixture(scope="module")
def summary(folder: Path) -> pd.DataFrame:
    return summarise(folder, FEW)


def succeed(*words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(words))
    assert caught.value.code == 0


def one(summary: pd.DataFrame, metric: str, split: str) -> pd.Series:
    rows = summary[(summary["metric"] == f"table:{metric}.csv") & (summary["split"] == split)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_summary_rows(folder: Path, summary: pd.DataFrame) -> None:
    assert tuple(summary.columns) == COLUMNS
    assert set(summary["dataset"]) == {"part (subset, 60 of 100)"}
    wide = results.load(folder)
    for metric in ("good", "poor"):
        row = one(summary, metric, "all")
        scores = wide[f"table:{metric}.csv"]
        assert row["srcc"] == pytest.approx(stats.spearmanr(scores, wide["mos"]).statistic)
        assert row["plcc"] == pytest.approx(stats.pearsonr(scores, wide["mos"]).statistic)
        assert row["srcc_low"] <= row["srcc"] <= row["srcc_high"]
        assert row["n"] == 60
        assert row["status"] == "ok"
    test = one(summary, "good", "test")
    part = wide[wide["split"] == "test"]
    assert test["n"] == len(part) == 20
    expected = stats.spearmanr(part["table:good.csv"], part["mos"]).statistic
    assert test["srcc"] == pytest.approx(expected)


def test_failed_images_are_counted_and_left_out(summary: pd.DataFrame) -> None:
    row = one(summary, "fair", "all")
    assert (row["n"], row["n_failed"]) == (59, 1)
    assert row["srcc"] > 0.5  # lower is better, and turned


def test_random_splits_are_grouped_and_summarised(folder: Path, summary: pd.DataFrame) -> None:
    row = one(summary, "good", "random 4x")
    wide = results.load(folder).sort_values("image", ignore_index=True)
    figures = []
    for rows in random_tests(wide["reference"].tolist(), splits=4):
        part = wide.iloc[rows]
        figures.append(stats.spearmanr(part["table:good.csv"], part["mos"]).statistic)
    assert row["srcc_mean"] == pytest.approx(np.mean(figures))
    assert row["srcc_median"] == pytest.approx(np.median(figures))
    assert row["srcc_std"] == pytest.approx(np.std(figures, ddof=1))
    assert (row["n_splits"], row["n"]) == (4, 12)


def test_unavailable_metric_is_one_row(folder: Path, summary: pd.DataFrame) -> None:
    rows = summary[summary["metric"] == "pyiqa:musiq"]
    assert len(rows) == 1
    assert rows["n"].iloc[0] == 0
    assert "no network" in tables.summary_markdown(summary)
    note_unavailable(folder, "part", {"x": "reason"})
    note_unavailable(folder, "part", {"x": None})
    kept = json.loads((folder / "part" / "unavailable.json").read_text())
    assert kept == {"pyiqa:musiq": "cannot be built here: no network"}


def test_unscored_images_are_said(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "results"
    shutil.copytree(folder, copy)
    frame, record = results.frame(copy, "part")
    extra = frame.iloc[:1].assign(image="new.png", digest="new")
    results.write_parquet(pd.concat([frame, extra]), copy / "part" / "frame.parquet", record)
    row = one(summarise(copy, Statistics(0, 0, 0)), "good", "all")
    assert row["status"] == "incomplete: 60 of 61 images scored"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=60), st.integers(0, 99))
def test_splits_keep_references_together(numbers: list[int], seed: int) -> None:
    reference = [f"r{n}" for n in numbers]
    if len(set(reference)) < 5:
        with pytest.raises(ValueError, match="at least 5 references"):
            random_tests(reference, seed=seed)
        return
    for rows in random_tests(reference, splits=3, seed=seed):
        inside = {reference[i] for i in rows}
        outside = {reference[i] for i in set(range(len(reference))) - set(rows.tolist())}
        assert inside.isdisjoint(outside)
        assert len(inside) == max(1, round(0.2 * len(set(reference))))


def test_split_sizes_are_arniqas() -> None:
    """CLIVE 1,162 images without references; TID2013 25 x 120; CSIQ's 30 references."""
    assert {len(rows) for rows in random_tests([""] * 1162)} == {232}
    tid = [f"I{i // 120}" for i in range(3000)]
    assert {len(rows) for rows in random_tests(tid)} == {600}
    assert random_tests([""] * 50, seed=1)[0].tolist() != random_tests([""] * 50)[0].tolist()


def test_numbers() -> None:
    shown = {0.8174: ".817", -0.0204: "-.020", 1.0: "1.000", 0.0: ".000", -1.0: "-1.000",
             12.3456: "12.346", float("nan"): "–"}  # fmt: skip
    for value, text in shown.items():
        assert number(value) == text
    assert number(None) == "–"
    assert number(0.99996) == "1.000"


def test_cross_table(summary: pd.DataFrame) -> None:
    table = tables.cross(summary)
    head = "part (subset, 60 of 100)"
    assert list(table.columns) == [(head, "srcc"), (head, "plcc")]
    assert table.loc["table:good.csv", (head, "srcc")] == one(summary, "good", "all")["srcc"]
    text = tables.cross_markdown(table)
    assert text.count("**") == 4
    assert f"| {head}<br>SRCC |" in text
    best = next(line for line in text.splitlines() if "table:good.csv" in line)
    assert best.count("**") == 4
    latex = tables.cross_latex(table)
    assert rf"\multicolumn{{2}}{{c}}{{{head}}}" in latex
    assert latex.count(r"\textbf") == 2
    assert latex.count(r"\underline") == 2
    assert latex.count(r"\\") == 2 + 4
    median = tables.cross(summary, ["srcc"], "random")
    expected = one(summary, "good", "random 4x")["srcc_median"]
    assert median.loc["table:good.csv", (head, "srcc")] == expected
    official = tables.cross(summary, ["srcc"], "official")
    expected = one(summary, "good", "test")["srcc"]
    assert official.loc["table:good.csv", (head, "srcc")] == expected
    with pytest.raises(ValueError, match="unknown figure"):
        tables.cross(summary, ["nope"])
    with pytest.raises(ValueError, match="no results for split 'nope'; there are all"):
        tables.cross(summary, split="nope")


def test_markdown_escapes() -> None:
    assert markdown(["a"], [["x|y\nz"]]).endswith("| x\\|y z |\n")


def test_latex_escapes(summary: pd.DataFrame) -> None:
    odd = summary.assign(metric=summary["metric"].str.replace("good", "a_b%"))
    assert r"table:a\_b\%.csv" in tables.cross_latex(tables.cross(odd))


def test_compare(folder: Path) -> None:
    wide = results.load(folder)
    metrics = wide.attrs["metrics"]
    pairs = compare(wide, metrics, resamples=500)
    assert len(pairs) == 3
    assert set(pairs["n"]) == {59}
    row = pairs[
        (pairs["metric_a"] == "table:good.csv") & (pairs["metric_b"] == "table:poor.csv")
    ].iloc[0]
    assert row["difference"] == pytest.approx(row["srcc_a"] - row["srcc_b"])
    assert row["low"] < row["difference"] < row["high"]
    assert row["significant"]
    assert row["p"] == pytest.approx(2 / 501)
    order = np.sort(pairs["p"])
    by_hand = np.maximum.accumulate(np.minimum(1, order * [3, 2, 1]))
    np.testing.assert_allclose(np.sort(pairs["p_holm"]), by_hand)
    shown = tables.significance_markdown(pairs).splitlines()
    assert shown[2].startswith("| table:good.csv |")
    assert shown[2].count("*") >= 1
    pd.testing.assert_frame_equal(compare(wide, metrics, resamples=500), pairs)


def test_equal_metrics_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    mos = rng.normal(size=200)
    a, b = mos + rng.normal(size=(2, 200))
    pairs = compare(pd.DataFrame({"mos": mos, "a": a, "b": b, "c": a}), ["a", "b", "c"])
    same = pairs[(pairs["metric_a"] == "a") & (pairs["metric_b"] == "c")].iloc[0]
    assert (same["difference"], same["p"], same["p_holm"]) == (0, 1, 1)
    assert not pairs["significant"].any()


def test_compare_needs_two_metrics_and_images() -> None:
    table = pd.DataFrame({"mos": [1.0, 2, 3], "a": [1.0, 2, 3], "b": [np.nan, 2, 3]})
    with pytest.raises(ValueError, match="at least two metrics"):
        compare(table, ["a"])
    with pytest.raises(ValueError, match=r"only 2 image\(s\)"):
        compare(table, ["a", "b"])


# published predictions


def avt(folder: Path, scores: str, opinions: str) -> Path:
    (folder / predictions.SCORES).write_text("model,metric,img_id,quality_score\n" + scores)
    (folder / predictions.OPINIONS).write_text(
        "stimuli_file,mos,count,ci,std,factor,upscaler,base_img\n" + opinions
    )
    return folder


def test_predictions_join(tmp_path: Path) -> None:
    opinions = "".join(
        f"./stimuli/BSRGAN/x{f}/a_{i}.png,{i + f},9,1,0.5,x{f},BSRGAN,a\n"
        for f in (2, 4)
        for i in range(3)
    )
    scores = "".join(f"BSRGAN_x2,NIQE,a_{i}.png,{9 - i}\n" for i in range(3))
    scores += "".join(f"BSRGAN_x{f},MUSIQ,a_{i}.png,{i}\n" for f in (2, 4) for i in range(3))
    joined = predictions.load(avt(tmp_path, scores, opinions))
    assert joined.attrs["metrics"] == ["MUSIQ", "NIQE"]
    row = joined.set_index("image").loc["BSRGAN_x2/a_1.png"]
    assert (row["mos"], row["NIQE"], row["level"], row["reference"]) == (3, -8, 2, "a")
    assert joined["NIQE"].isna().sum() == 3
    figures = agreements(joined, resamples=10).set_index("metric")
    assert (figures.loc["NIQE", "n"], figures.loc["NIQE", "srcc"]) == (3, pytest.approx(1))
    assert figures.loc["MUSIQ", "n"] == 6
    assert set(agreements(joined, common=True, resamples=10)["n"]) == {3}


def test_predictions_errors(tmp_path: Path) -> None:
    opinion = "./stimuli/B/x2/a.png,1,9,1,0.5,x2,B,a\n"
    with pytest.raises(ValueError, match=r"no opinion on 1 images, e\.g\. B_x4/a\.png"):
        predictions.load(avt(tmp_path, "B_x4,NIQE,a.png,1\n", opinion))
    with pytest.raises(ValueError, match="no declared direction for NEW"):
        predictions.load(avt(tmp_path, "B_x2,NEW,a.png,1\n", opinion))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    joined = predictions.load(SHARED / "predictions")
    assert len(joined) == 1496
    counts = joined[joined.attrs["metrics"]].notna().sum().to_dict()
    assert sorted(set(counts.values())) == [1193, 1496]
    figures = agreements(joined, resamples=0).set_index("metric")
    for metric in figures.index:
        good = joined.dropna(subset=[metric])
        expected = stats.spearmanr(good[metric], good["mos"]).statistic
        assert figures.loc[metric, "srcc"] == pytest.approx(expected)
    assert figures["srcc"].idxmin() == "ILNIQE"  # and it is negative: no absolute value is taken
    assert figures["srcc"].min() < 0
    succeed("predictions", str(SHARED / "predictions"), "--resamples", "50")
    shown = capsys.readouterr().out
    assert shown.count("\n| ") == 11 - 1
    assert "ILNIQE: PLCC4 fit falling" in shown


# command line


def test_every_command_is_listed_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for name in ("run", "datasets", "summary", "table", "compare", "predictions", "golden"):
        assert f"  {name} " in shown
        with pytest.raises(SystemExit) as caught:
            cli.main([name, "--help"])
        assert caught.value.code == 0
        assert f"python -m benchmarks {name}" in capsys.readouterr().out


def test_summary_table_and_compare_commands(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    succeed("summary", "--results", str(folder), "--resamples", "20", "--splits", "2")
    assert capsys.readouterr().out.startswith("# Summary")
    record = json.loads((folder / "summary.json").read_text())
    assert record["format"] == 1
    assert {row["metric"] for row in record["rows"]} >= {"table:good.csv", "pyiqa:musiq"}
    assert len(pd.read_csv(folder / "summary.csv")) == len(record["rows"])
    for form, mark in {"md": "| metric |", "latex": r"\toprule", "csv": "srcc"}.items():
        succeed("table", "--results", str(folder), "--format", form, "--value", "srcc")
        assert mark in capsys.readouterr().out
    succeed("compare", "--results", str(folder), "--resamples", "100")
    assert "row − column" in capsys.readouterr().out
    assert len(pd.read_csv(folder / "compare-part.csv")) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "--results", "nowhere"], "no nowhere/summary.parquet; make it with"),
        (["summary", "--results", "nowhere"], "no results under nowhere"),
        (["run", "--metric", "sharpness", "--dataset", "nope"], "unknown dataset 'nope'"),
        (["run", "--metric", "sharpness", "--dataset", "spaq"], "no folder given"),
        (
            ["run", "--metric", "x", "--dataset", "spaq", "--customary", "--short-side", "99"],
            "exclude each other",
        ),
        (["run", "--metric", "x", "--dataset", "spaq", "--dataset", "spaq"], "given twice"),
        (["datasets", "--root", "nowhere"], "no folder nowhere"),
    ],
)
def test_user_errors_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("QUALICLIP_DATASETS", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_a_missing_library_comes_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "benchmarks.results.store")
    monkeypatch.delitem(sys.modules, "benchmarks.cli.summary", raising=False)
    monkeypatch.delitem(sys.modules, "benchmarks.cli.run", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SystemExit) as caught:
        cli.main(["summary", "x"])
    assert caught.value.code == 2
    assert "pip install 'qualiclip-metric[benchmarks]'" in capsys.readouterr().err


def test_datasets_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kadid10k").mkdir()
    succeed("datasets", "--root", str(tmp_path))
    shown = capsys.readouterr().out
    assert "| kadid | broken |" in shown
    assert "| spaq | absent | https://github.com/h4nwei/SPAQ" in shown
    succeed("datasets", "--root", str(tmp_path), "--json")
    assert len(json.loads(capsys.readouterr().out)) == 12


def test_run_notes_the_customary_resolution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from benchmarks.datasets import SPECS

    (tmp_path / "images").mkdir()
    Image.new("RGB", (700, 500)).save(tmp_path / "images" / "a.png")
    labels = pd.DataFrame({"image": ["images/a.png"], "mos": [1.0]})
    monkeypatch.setitem(SPECS, "spaq", replace(SPECS["spaq"], read=lambda root: labels, count=1))
    words = ["run", "--metric", "jpegsize", "--dataset", f"spaq={tmp_path}", "--out",
             str(tmp_path / "r"), "--workers", "0", "--resamples", "0"]  # fmt: skip
    succeed(*words)
    assert "customarily scored at short side 448" in capsys.readouterr().err
    succeed(*words, "--customary")
    assert "customarily" not in capsys.readouterr().err
    files = list(results.score_files(tmp_path / "r", "spaq"))
    sizes = {f.key.resolution: (f.rows["height"][0], f.rows["width"][0]) for f in files}
    assert sizes == {"native": (500, 700), "short-side-448": (448, 627)}
