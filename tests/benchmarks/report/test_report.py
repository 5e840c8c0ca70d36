"""Contents of a report, which is one bounded, escaped page."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.cli.report import app
from benchmarks.datasets.photos import sample_photos
from benchmarks.report.data import gather
from benchmarks.report.example import distorted_copies
from benchmarks.report.gmad import gmad_panel
from benchmarks.report.measured import MONOTONICITY, ROBUSTNESS, measured_panels
from benchmarks.report.page import _marks
from benchmarks.report.provenance import made_on, written_on
from qualiclip_metric.distortions import DISTORTIONS

EVIL = "<img src=x onerror=alert(1)>"
QUICK = ["--resamples", "100"]


@pytest.fixture(scope="module")
def gathered(results):
    return gather(results, budget=10**6, resamples=100, seed=0)


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    """The report's text, made by the command."""
    out = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    words = ["--results", str(results), "--out", str(out), "--title", f"T {EVIL}", *QUICK]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    return out.read_text(encoding="utf-8")


def test_the_page_is_one_file_without_network_or_unescaped_names(written):
    assert EVIL not in written
    assert "&lt;img src=x onerror=alert(1)&gt;" in written
    assert not re.findall(r"""<[^>]*(?:src|href)=["'](?!#)""", written)
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", written)
    data = json.loads(re.search(r'id="data">(.*?)</script>', written, re.S)[1])
    point = next(p for p in data["datasets"][0]["points"] if p["metric"] == "fair")
    assert point["seconds"] == pytest.approx(0.02)


def test_the_page_names_subjects_reasons_and_labels(written):
    text = re.sub(r"<[^>]+>", " ", written)
    for words in ("no weights", "Levels, no MOS.", "alpha, 60 images", "licence", "|v1", "Python"):
        assert words in text


def test_an_empty_results_folder_is_one_line(command, tmp_path):
    shown = command("report", "--results", tmp_path, "--out", tmp_path / "r", code=2)
    assert shown.err.startswith("error: no results under") and shown.err.count("\n") == 1
    command("report", code=2)


def test_rows_are_best_first_with_verdicts(gathered):
    alpha = gathered["datasets"][0]
    assert [row["metric"] for row in alpha["rows"]] == [f"good{EVIL}", "fair", "poor", "absent"]
    assert alpha["rows"][0]["verdict"] == "best"
    assert alpha["rows"][2]["verdict"].startswith("p ")


def test_gmad_uses_opinions_only_where_labels_are_opinions(gathered):
    alpha, beta = gathered["datasets"]
    assert "aggressiveness" in alpha["gmad"]
    assert "aggressiveness" not in beta["gmad"] and "attack_gap" in beta["gmad"]


def test_gmad_pairs_are_numbers_of_the_tables_rows(gathered):
    alpha = gathered["datasets"][0]
    scores = {m["name"]: m["scores"] for m in alpha["metrics"]}
    lower = {m["name"]: m["lower"] for m in alpha["metrics"]}
    seen = 0
    for attacker, _, _, _, population, best, worst, gap in alpha["gmad"]["pairs"]:
        if best < 0:
            continue
        name = alpha["gmad"]["metrics"][attacker]
        sign = -1 if lower[name] else 1
        assert sign * (scores[name][best] - scores[name][worst]) >= 0
        assert population > 1 and gap >= 0
        seen += 1
    assert seen > 10


def test_every_readable_image_has_a_picture_and_the_broken_one_none(gathered):
    alpha = gathered["datasets"][0]
    assert [i for i, number in enumerate(alpha["picture"]) if number < 0] == [5]
    assert max(alpha["picture"]) < len(gathered["pictures"])
    assert "paths" not in alpha  # A report does not tell where the images lie.


def test_marks_are_best_and_second_per_column_lowest_for_rmse():
    rows = [
        {"srcc": 0.5, "rmse": 2.0},
        {"srcc": 0.7, "rmse": 1.0},
        {"srcc": float("nan"), "rmse": 3.0},
    ]
    marks = _marks(rows)
    assert marks[0] == {"srcc": "second", "rmse": "second"}
    assert marks[1] == {"srcc": "best", "rmse": "best"}
    assert marks[2] == {}


def test_gmad_leaves_a_sparse_metric_out_and_says_when_it_cannot_play():
    table = pd.DataFrame({"image": list("abcd"), "mos": [1.0, 2, 3, 4], "x": [1.0, 2, 3, 4]})
    table["y"] = [4.0, 3, 2, 1]
    table["z"] = [np.nan, np.nan, 1, 2]
    table.attrs = {"metrics": ["x", "y", "z"], "signatures": {}}
    assert gmad_panel(table, "t", opinions=True, resamples=10, seed=0)["metrics"] == ["x", "y"]
    table.attrs["metrics"] = ["x", "z"]
    assert "two metrics" in gmad_panel(table, "t", opinions=True, resamples=10, seed=0)["reason"]


def test_a_panel_that_fails_names_its_set_and_changes_nothing_else(results, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("expected weights of at least 0")

    monkeypatch.setattr("benchmarks.report.gmad.run_competition", fail)
    alpha = gather(results, budget=10**5, resamples=20, seed=0)["datasets"][0]
    assert alpha["gmad"]["reason"] == "alpha: expected weights of at least 0"
    assert alpha["rows"][0]["verdict"] == "best"


def test_monotonicity_command_feeds_the_report(command, tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.effect_noise((40, 40), 60).convert("RGB").save(path)
    out = tmp_path / "results"
    words = ["monotonicity", "--metric", "sharpness", "--results", out, "--resamples", "20"]
    for path in paths:
        words += ["--images", path]
    command("report", *words)
    data = json.loads((out / "monotonicity.json").read_text())
    assert (data["images"], len(data["metrics"][0]["types"])) == (2, len(DISTORTIONS))
    shown = command("report", "monotonicity", "--metric", "no", "--results", out, code=2)
    assert "unknown metric 'no'" in shown.err


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"images": 1, "metrics": []}',
        '{"images": 1, "metrics": [{"name": "x"}]}',
        '{"images": 1, "metrics": [{"name": "x", "spread": 1, "changes": null}]}',
    ],
)
def test_a_malformed_panel_has_a_reason_alone(tmp_path, text):
    for name in (MONOTONICITY, ROBUSTNESS):
        (tmp_path / name).write_text(text)
    for name, panel in measured_panels(tmp_path).items():
        assert panel.keys() == {"reason"} and f"{name}.json: " in panel["reason"]


def test_a_malformed_panel_is_shown_with_its_reason(command, results, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(results, folder)
    for name in (MONOTONICITY, ROBUSTNESS):
        (folder / name).write_text("{}")
    command("report", "--results", folder, "--out", tmp_path / "r.html", "--resamples", 10)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "monotonicity.json: " in page and "robustness.json: " in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["monotonicity"] is None and data["robustness"] is None


def test_dates_can_be_fixed(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert (made_on(), written_on([tmp_path])) == ("1970-01-01", "1970-01-01")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert written_on([]) == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", written_on([tmp_path]))


def test_example_labels_are_negated_levels_and_no_opinions(tmp_path):
    pytest.importorskip("skimage", reason="the photos are scikit-image's")
    photos = sample_photos(side=64)
    assert all(max(photo.shape) == 64 for photo in photos.values())
    dataset = distorted_copies({"chelsea": photos["chelsea"]}, tmp_path, seed=0)
    assert len(dataset.frame) == 1 + len(DISTORTIONS) * 3
    assert sorted(dataset.frame["mos"].unique()) == [-5, -3, -1, 0]
    assert "no MOS" in dataset.notes["label_note"]


def test_the_example_is_made_by_one_command(command, tmp_path, monkeypatch):
    pytest.importorskip("skimage", reason="the photos are scikit-image's")
    one = {"chelsea": sample_photos(side=128)["chelsea"]}
    monkeypatch.setattr("benchmarks.cli.report.sample_photos", lambda side: one)
    words = ["example", "--out", tmp_path, "--metric", "sharpness", "--metric", "jpegsize"]
    words += ["--side", "128", "--resamples", "100", "--budget", "0.4"]
    command("report", *words)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no MOS" in page and len(page) < 10**6
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert len(data["monotonicity"]["metrics"]) == 2
    assert [m["name"] for m in data["robustness"]["metrics"]] == ["sharpness", "jpegsize"]
    assert "aggressiveness" not in data["datasets"][0]["gmad"]
