"""Bursts of made photos: which frame is picked, and the fit of the rule's weights."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.analysis.bursts import BURSTS, FITTED, STRENGTHS, Frame, compare_frames, fit_weights
from qualiclip_metric.scoring.picks import WEIGHTS

PHOTO = {"sharpness": 100.0, "noise": 1.0, "brightness": 0.5, "highlights": 1.0}
CHANGES = {
    "hand_shake": {"sharpness": 0.5},
    "defocus": {"sharpness": 0.5},
    "overexposure": {"brightness": 1.5},
    "underexposure": {"brightness": 0.6, "highlights": 0.6},
    "low_light": {"brightness": 0.6, "highlights": 0.7, "noise": 2.0},
    "sensor_noise": {"noise": 3.0},
    "luma_noise": {"noise": 2.0},
    "denoised_noise": {"noise": 0.2},
    "recompression": {"sharpness": 0.8},
}
"""Factors of the statistics."""


@pytest.fixture
def frames():
    """The undegraded frame, and one with each fault at each strength; lower scores but of two."""
    made = [Frame("", 0.0, 7, (0.6,), PHOTO)]
    for strength in STRENGTHS:
        for fault, factors in CHANGES.items():
            changed = {name: value * factors.get(name, 1) for name, value in PHOTO.items()}
            score = 0.61 if fault in ("sensor_noise", "denoised_noise") else 0.5
            made.append(Frame(fault, strength, 7, (score,), changed))
    return made


def test_the_undegraded_frame_is_picked_where_the_score_alone_prefers_noise(frames):
    outcomes = list(compare_frames(frames))
    assert len(outcomes) == len(BURSTS) * (len(STRENGTHS) + 1)
    picked = {(one.kind, one.strength): one.picked for one in outcomes}
    assert picked["sensor_noise", None] == picked["mixed", 0.1] == (True, False)
    assert picked["denoised_noise", 0.4] == (False, False)
    assert picked["bracket", None] == picked["hand_shake", 0.2] == (True, True)
    assert all(one.grouped and one.grouped_by_hash for one in outcomes)


def test_fitted_weights_prefer_the_undegraded_frame(frames):
    weights = fit_weights([frames])
    assert list(weights) == list(WEIGHTS)
    assert weights["noise"] < 0 < weights["score"]
    assert {frame.fault for frame in frames} == {"", "denoised_noise", *FITTED}


def test_the_command_on_two_made_photos(command, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        photo = Image.fromarray(rng.integers(40, 256, (9, 11, 3), dtype=np.uint8))
        photo.resize((110, 90), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    words = ("bursts", "--images", tmp_path)
    shown = command(*words, "--out", tmp_path / "bursts.json")
    rows = json.loads((tmp_path / "bursts.json").read_text())["rows"]
    assert [row["fault"] for row in rows[::4]] == list(BURSTS)
    assert shown.out.startswith("2 photos; `model:lite|")
    assert "| bracket | ±0.50 stops |" in shown.out
    fitted = command(*words, "--fit", "--limit", 1).out
    assert [line.split(":")[0] for line in fitted.splitlines()[2:]] == list(WEIGHTS)
