"""Prompts taken apart: constructed similarities in which it is known who carries the labels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from benchmarks.analysis import prompts as analysis
from benchmarks.analysis.prompts import file_similarities, ladder_similarities
from benchmarks.stats.correlations import srcc
from qualiclip_metric.distortions import DISTORTIONS, LEVELS
from qualiclip_metric.metric import antonym_score

NAMES = ["a", "b", "c"]
HOW = {"resamples": 200, "seed": 0}


def only(index, side, count=120, pairs=3):
    """Cosines of noise, but for one prompt (of pair ``index``), which knows the labels."""
    rng = np.random.default_rng(0)
    mos = rng.permutation(count) / count
    cosines = rng.normal(0.2, 0.001, (count, pairs, 2))
    cosines[:, index, side] = 0.2 + 0.1 * (mos if side == 0 else -mos)
    return cosines, mos


def found(cosines, mos, temperature=5.0):
    rows = analysis.variants(NAMES, 100.0, temperature)
    records = analysis.against_labels(rows, cosines, mos, **HOW)
    return {(record["group"], record["name"]): record for record in records}


def test_the_score_is_the_metric_s_own():
    cosines = torch.randn(9, 7, 2, generator=torch.Generator().manual_seed(0)).double() / 10
    ours = analysis.mean_probability(cosines.numpy(), 20.0)
    np.testing.assert_allclose(ours, antonym_score(cosines, 20.0)[:, 0], atol=1e-12)


@pytest.mark.parametrize("index", range(3))
def test_the_one_pair_that_knows_the_labels_is_found(index):
    rows = found(*only(index, 1))
    name = NAMES[index]
    assert rows["alone", name]["value"] > 0.99
    assert rows["negative", name]["value"] == pytest.approx(1)
    assert abs(rows["positive", name]["value"]) < 0.25
    assert rows["left out", name]["gain"] < -0.6
    assert rows["left out", name]["gain_high"] < -0.4
    for other in set(NAMES) - {name}:
        assert abs(rows["alone", other]["value"]) < 0.25
        assert rows["left out", other]["gain"] == pytest.approx(0, abs=0.02)


def test_intervals_hold_the_value_and_gains_are_paired():
    rows = found(*only(0, 0))
    for record in rows.values():
        assert record["low"] - 1e-9 <= record["value"] <= record["high"] + 1e-9
    own = rows["temperature", "5"]
    assert (own["gain"], own["gain_low"], own["gain_high"]) == (0, 0, 0)
    assert own["value"] == rows["score", "all pairs"]["value"]


def test_temperatures_end_in_the_mean_difference():
    cosines, mos = only(0, 0)
    rows = found(cosines, mos)
    gaps = (cosines[..., 0] - cosines[..., 1]).mean(axis=1)
    assert rows["temperature", "inf"]["value"] == pytest.approx(srcc(gaps, mos))
    hot = analysis.mean_probability(cosines, 100 / 1e6)
    assert srcc(hot, gaps) == pytest.approx(1)


def test_pairs_that_agree_and_disagree():
    gaps = np.random.default_rng(0).normal(size=50)
    cosines = np.stack([np.stack([gaps, 0 * gaps], -1), np.stack([0 * gaps, gaps], -1)], axis=1)
    np.testing.assert_allclose(analysis.between_pairs(cosines), [[1, -1], [-1, 1]], atol=1e-12)


def test_levels_need_no_label():
    rng = np.random.default_rng(0)
    cosines = rng.normal(0.2, 0.01, (3, 4, 6, 3, 2))
    cosines[..., 2, 0] = 0.5 - 0.05 * np.arange(6)
    rows = analysis.variants(NAMES, 100.0, 1.0)
    records = {
        (r["group"], r["name"]): r["value"] for r in analysis.against_levels(rows, cosines, **HOW)
    }
    assert records["alone", "c"] == records["positive", "c"] == 1
    assert 0.3 < records["alone", "a"] < 0.7


def test_a_constant_variant_is_a_blank():
    cosines, mos = only(0, 1)
    cosines[:, 1, 0] = 0.2
    row = found(cosines, mos)["positive", "b"]
    assert (row["value"], row["low"], row["gain"]) == (None, None, None)


def test_similarities_are_kept_and_extended(tiny, tmp_path):
    files = {}
    for i in range(3):
        Image.effect_noise((48, 40), 40 + i).convert("RGB").save(tmp_path / f"{i}.png")
        files[str(i)] = str(tmp_path / f"{i}.png")
    messages = []
    first = file_similarities(tiny, {"0": files["0"]}, tmp_path / "deep" / "c.npz", messages.append)
    Image.new("RGB", (48, 40)).save(files["0"])
    every = file_similarities(tiny, files, tmp_path / "deep" / "c.npz", messages.append)
    assert every.shape == (3, 7, 2)
    np.testing.assert_array_equal(every[0], first[0])
    assert not np.array_equal(every[1], every[2])
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    blank = file_similarities(tiny, {"x": str(bad)}, tmp_path / "deep" / "c.npz", messages.append)
    assert np.isnan(blank).all() and "empty" in "".join(messages)


def test_ladders_begin_with_the_photo(tiny):
    photo = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0))
    cosines = ladder_similarities(tiny, [photo], seed=0)
    assert cosines.shape == (1, len(DISTORTIONS), LEVELS + 1, 7, 2)
    own = tiny.similarities(photo[None])[0].double().numpy()
    np.testing.assert_allclose(cosines[0, :, 0], np.broadcast_to(own, (len(DISTORTIONS), 7, 2)))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_command(labelled, random_lite, tmp_path):
    from benchmarks.__main__ import app as application

    names = [f"{i}.png" for i in range(5 if labelled else 1)]
    for i, name in enumerate(names):
        Image.effect_noise((48, 40), 20 + 10 * i).convert("RGB").save(tmp_path / name)
    lines = [f"{name},{i}" for i, name in enumerate(names)]
    (tmp_path / "set.csv").write_text("\n".join(["image,mos", *lines]) + "\n")
    source = ["--dataset", f"csv={tmp_path / 'set.csv'}"]
    source = source if labelled else ["--images", str(tmp_path / "0.png")]
    words = ["prompts", "--model", str(random_lite), *source, "--out", str(tmp_path / "out")]
    words += ["--resamples", "20"]
    result = CliRunner().invoke(application, words)
    assert result.exit_code == 0, result.output
    assert "Reported only" in result.stdout and "| all pairs |" in result.stdout
    data = json.loads(
        (tmp_path / "out" / ("set" if labelled else "ladders") / "prompts.json").read_text()
    )
    assert data["measure"] == ("SRCC" if labelled else "level pairs in order")
    assert len(data["rows"]) == 3 + 7 * 4 + 5
