"""Diagnoses of degraded photos: answers that are known are counted as what they are."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.analysis.diagnosis import (
    calibration,
    correct_shares,
    diagnoses,
    fault_shares,
    types_by_fault,
)

FAULTS = ("noise", "exposure")
PHOTO = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.45


def by_brightness(image):
    """Bright or dark: exposure; uneven by more than the photo: noise; else nothing."""
    if abs(float(image.mean()) - 0.5) > 0.02:
        return np.array([0.1, 0.2, 0.7])
    noisy = float(image.std()) > 1.2 * float(PHOTO.std())
    return np.array([0.1, 0.7, 0.2]) if noisy else np.array([0.7, 0.2, 0.1])


def test_types_are_those_that_people_would_call_so():
    assert types_by_fault(["noise"]) == {
        "noise": ["whitenoise", "whitenoiseCC", "impulsenoise", "multnoise"]
    }
    with pytest.raises(ValueError, match="beauty"):
        types_by_fault(["noise", "beauty"])


def test_shares_are_of_types_and_levels_and_the_photo_itself_comes_first():
    labels, probabilities = diagnoses(by_brightness, PHOTO, FAULTS, seed=0, least=5)
    assert labels[0] == 0 and probabilities[0].argmax() == 0
    shares = fault_shares(labels, probabilities)
    assert shares.shape == (2, 2, 3)
    np.testing.assert_allclose(shares.sum(axis=2), 1)
    assert (shares[:, 1, 0] == 0).all()  # no fault is no answer there
    assert shares[0, 0, 1] == 1  # all noises are called noise
    milder = fault_shares(*diagnoses(by_brightness, PHOTO, FAULTS, seed=0, least=1))
    assert milder[0, 0, 0] > 0  # and mild ones not


def test_balanced_accuracy_is_the_mean_over_faults_of_what_is_named_right():
    shares = np.zeros((1, 2, 2, 3))
    shares[0, 0, :, 1] = 1  # noise always
    shares[0, 1, 0] = [0.5, 0.25, 0.25]  # exposure: half of it is called nothing
    shares[0, 1, 1] = [0, 0.25, 0.75]
    np.testing.assert_allclose(correct_shares(shares), [[0.625, 0.875]])


def test_the_calibration_error_weighs_answers_by_the_share_of_undegraded_images():
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([[0.8, 0.2], [0.95, 0.05], [0.05, 0.95], [0.05, 0.95]])
    found = calibration(labels, probabilities, prior=0.4)
    np.testing.assert_allclose(found.share[[8, 9]], [0.4, 0.6])
    np.testing.assert_allclose(found.right[[8, 9]], [1, 2 / 3])
    assert found.error == pytest.approx(0.4 * 0.2 + 0.6 * (0.95 - 2 / 3))


def test_the_command_prints_what_it_writes_and_refuses_a_model_without_diagnosis(
    command, random_lite, tmp_path
):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    words = ["diagnosis", "--images", tmp_path, "--engine", "torch", "--level", 5]
    words += ["--undegraded", f"noise={tmp_path}"]
    shown = command(*words, "--resamples", 50, "--out", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["photos"] == 1 and np.shape(found["shares"]) == (5, 2, 6)
    assert found["faults alone"][0] >= found["with no fault"][0]
    assert list(found["false alarms"]) == ["the photos above", "noise"]
    assert found["false alarms"]["noise"] == found["false alarms"]["the photos above"]
    assert f"undegraded): {found['calibration error']:.3f}" in shown.out
    refused = command(*words, "--model", random_lite, code=2)
    assert "diagnosis" in refused.err
    assert "NAME=FOLDER" in command("diagnosis", "--undegraded", tmp_path, code=2).err
