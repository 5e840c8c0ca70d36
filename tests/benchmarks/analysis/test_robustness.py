"""Robustness: known scores under known changes, the attack, the panel and its page."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from benchmarks.analysis.attack import NoGradientError, attack
from benchmarks.analysis.perturbations import PERTURBATIONS, eight_bit
from benchmarks.analysis.robustness import (
    ATTACKS,
    measure_robustness,
    robustness_summary,
    score_deltas,
    score_drops,
)
from benchmarks.cli.robustness import robustness_table
from benchmarks.datasets.photos import pristine
from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import Scorer
from benchmarks.report.measured import ROBUSTNESS, robustness_panel
from qualiclip_metric.distortions import DISTORTIONS


def brightness(images):
    return images.mean(dim=(1, 2, 3))


def scorer(score=brightness, lower=False, gradient=True):
    return Scorer("own", "own|v1", lower, score, differentiable=score if gradient else None)


def noise(side=96, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return eight_bit(torch.rand(1, 3, side, side, generator=rng) * 0.4 + 0.3)


ROWS = {row.name: i for i, row in enumerate((*PERTURBATIONS, *ATTACKS))}


def test_changes_do_what_they_say():
    photo, rng = noise(), torch.Generator()
    rows = {row.name: row.apply for row in PERTURBATIONS}
    assert rows["resize"](photo, 0.5, rng).shape[-2:] == (48, 48)
    assert torch.equal(rows["shift"](photo, 5, rng), photo[..., 5:69, 5:69])
    assert torch.equal(rows["flip"](photo, 3, rng)[0, 0, 0], photo[0, 0, 0].flip(0))
    assert rows["JPEG"](photo, 95, rng).shape == photo.shape
    noisy = rows["random-sign noise"](photo, 2, rng) - photo
    torch.testing.assert_close(noisy.abs(), torch.full_like(noisy, 2 / 255))


def test_a_tint_has_the_length_it_names():
    from skimage.color import rgb2lab

    photo = noise()
    tint = next(row for row in PERTURBATIONS if row.name == "colour")
    before, after = (
        rgb2lab(image[0].permute(1, 2, 0).double().numpy())
        for image in (photo, tint.apply(photo, 2, torch.Generator().manual_seed(3)))
    )
    np.testing.assert_allclose(np.linalg.norm(after - before, axis=-1), 2, atol=0.02)


def test_brightness_is_robust_to_a_flip_and_deltas_by_an_attack_exactly_its_radius():
    deltas = list(score_deltas(scorer(), noise(), 0, seed=0))
    np.testing.assert_allclose(deltas[ROWS["flip"]], 0, atol=1e-6)
    np.testing.assert_allclose(
        deltas[ROWS["attack lowers a good photo"]], [-1 / 255, -2 / 255], atol=1e-6
    )
    np.testing.assert_allclose(
        deltas[ROWS["attack raises a bad photo"]], [1 / 255, 2 / 255], atol=1e-4
    )


def test_a_shift_is_compared_with_its_own_window():
    ramp = torch.linspace(0, 1, 96).mul(255).round().div(255).expand(1, 3, 96, 96)
    deltas = list(score_deltas(scorer(), ramp, 0, seed=0))
    expected = [strength / 95 for strength in (1, 2, 4, 8, 16, 31)]
    np.testing.assert_allclose(deltas[ROWS["shift"]], expected, atol=3e-3)


def test_the_direction_of_a_metric_is_turned():
    up, down = (
        list(score_deltas(one, noise(), 0, seed=0))
        for one in (scorer(), scorer(lambda x: -brightness(x), lower=True))
    )
    for one, other in zip(up, down, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_the_spread_is_the_median_drop():
    drops = np.array([[1.0, -2.0, 9.0]])
    row = robustness_summary(scorer(), drops, [[np.array([0.5, -1.0])] * 8], resamples=20, seed=0)
    assert (row["spread"], row["worst_level_lower"]) == (2.0, pytest.approx(2 / 3))
    assert row["changes"][0]["size"] == [0.5, 1.0]
    assert row["changes"][0]["signed"] == [0.5, -1.0]
    assert row["changes"][0]["share"] == [0.25, 0.5]


def test_drops_tell_darker_from_brighter():
    drops = dict(zip(DISTORTIONS, score_drops([scorer()], noise(), 0)[0], strict=True))
    assert drops["darken"] > 0.1 > -0.1 > drops["brighten"]


def test_an_attack_keeps_its_radius_its_range_and_8_bits():
    photo = noise()
    photo[..., :8] = 1.0
    for raising in (True, False):
        attacked = attack(build_scorer("sharpness").differentiable, photo, 2, raising=raising)
        assert float((attacked - photo).abs().max()) <= 2 / 255 + 1e-6
        assert (float(attacked.min()) >= 0, float(attacked.max()) <= 1) == (True, True)
        torch.testing.assert_close(attacked, eight_bit(attacked), atol=1e-7, rtol=0)
        score = build_scorer("sharpness").score
        assert (score(attacked) > score(photo)).item() is raising


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda x: x.mul(255).round().mean(dim=(1, 2, 3)), "zero everywhere"),
        (lambda x: torch.zeros(len(x)), "no gradient reaches"),
        (lambda x: (x * 0).sqrt().sum(dim=(1, 2, 3)), "not finite"),
    ],
)
def test_what_cannot_be_attacked_says_why(score, words):
    with pytest.raises(NoGradientError, match=words):
        attack(score, noise(), 1, raising=True)
    deltas = list(score_deltas(scorer(score), noise(), 0, seed=0))
    assert words in deltas[-1]


def test_lite_and_sharpness_give_gradients_jpegsize_none(random_lite):
    assert build_scorer("jpegsize").differentiable is None
    for text in (str(random_lite), "sharpness"):
        one, photo = build_scorer(text), noise()
        pixels = photo.clone().requires_grad_()
        value = one.differentiable(pixels)
        torch.testing.assert_close(value.detach(), one.score(photo), atol=1e-5, rtol=1e-5)
        assert torch.autograd.grad(value.sum(), pixels)[0].any()


def test_panel_table_and_page_data_repeat():
    photos = [noise(seed=i)[0] for i in range(2)]
    scorers = [scorer(), build_scorer("jpegsize")]
    panel = measure_robustness(photos, scorers, resamples=20, seed=0)
    assert panel == measure_robustness(photos, scorers, resamples=20, seed=0)
    json.dumps(panel, allow_nan=False)
    text = robustness_table({**panel, "left_out": {"pyiqa:x": "no weights"}})
    assert "jpegsize cannot be attacked" in text
    assert "left out: no weights" in text
    assert "| resize | x0.5 |" in text and "quality 95" in text
    shown = robustness_panel(panel)
    first, spread = shown["metrics"][0], panel["metrics"][0]["spread"]
    raw = panel["metrics"][0]["changes"][0]["size"]
    np.testing.assert_allclose(first["changes"][0]["size"], 100 * np.array(raw) / spread)
    assert shown["metrics"][1]["changes"][-1]["reason"] == "it has no gradient"


def test_a_constant_metric_has_no_percentage():
    flat = scorer(lambda x: 0 * brightness(x))
    panel = measure_robustness([noise()[0]], [flat], resamples=20, seed=0)
    json.dumps(panel, allow_nan=False)
    changes = robustness_panel(panel)["metrics"][0]["changes"]
    assert {change["reason"] for change in changes} <= {
        "its spread is 0", "its gradient is zero everywhere"
    }  # fmt: skip


def test_the_command_feeds_the_report_and_names_what_is_left_out(tmp_path):
    from benchmarks.__main__ import app as application

    pixels = noise()[0].permute(1, 2, 0).mul(255).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    words = ["robustness", "--images", str(tmp_path / "a.png"), "--metric", "sharpness"]
    words += ["--metric", "no", "--results", str(tmp_path), "--resamples", "20"]
    result = CliRunner().invoke(application, words)
    assert result.exit_code == 0, result.output
    assert "unknown metric 'no'" in result.stderr
    assert "| sharpness |" in result.stdout.splitlines()[0]
    panel = json.loads((tmp_path / ROBUSTNESS).read_text())
    assert (panel["images"], list(panel["left_out"])) == (1, ["no"])


def test_photos_are_spaced_evenly(tmp_path):
    for name in "abcd":
        Image.new("RGB", (40, 40)).save(tmp_path / f"{name}.png")
    assert list(pristine([tmp_path], 2)) == ["a", "c"]
    assert len(pristine([tmp_path])) == 4
