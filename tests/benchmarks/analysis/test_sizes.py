"""Scores of large photos over sizes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.analysis.sizes import FILTERS, reduced_photo, score_at_sizes, score_changes


def striped(height=96, width=128):
    """Stripes of two pixels: what a reduction takes away first."""
    column = (torch.arange(width) // 2 % 2).float()
    return column.expand(3, height, width).contiguous()


def contrast(img):
    """A stand-in for a score: it falls when fine detail is lost."""
    return img.std().reshape(1, 1)


def test_a_reduced_photo_has_the_side_asked_for_and_eight_bits():
    for kind in FILTERS:
        small = reduced_photo(striped(), 48, kind)
        assert small.shape == (3, 48, 64)
        torch.testing.assert_close((small * 255).round() / 255, small)


def test_only_sides_below_the_photos_own_are_scored():
    found = score_at_sizes(contrast, "a", striped(), sides=(200, 96, 48), kind="bilinear")
    assert list(found.scores) == [48]
    assert found.megapixels == pytest.approx(96 * 128 / 1e6)
    assert found.whole == pytest.approx(float(striped().std()))
    assert found.scores[48] < found.whole - 0.1  # the stripes are gone
    assert score_changes([found], 48) == [found.whole - found.scores[48]]
    assert score_changes([found], 96) == []


def test_the_command_leaves_small_photos_out_and_says_how_far_scores_move(
    command, random_lite, tmp_path
):
    noise = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    Image.fromarray(noise[:40, :40]).save(tmp_path / "small.png")
    words = ["sizes", "--images", tmp_path, "--model", random_lite, "--least", 0.01]
    shown = command(*words, "--side", 64, "--side", 32, "--out", tmp_path / "sizes.json")
    data = json.loads((tmp_path / "sizes.json").read_text())
    (photo,) = data["photos"]
    assert (photo["name"], data["filter"]) == ("large", "lanczos")
    assert list(photo["scores"]) == ["64", "32"]
    assert "| large | 0.0 |" in shown.out and "small" not in shown.out
    largest = abs(photo["whole"] - photo["scores"]["64"])
    assert f"| 64 px | 1 | {largest:.3f} | {largest:.3f} |".replace("0.", ".") in shown.out
    refused = command("sizes", "--images", tmp_path, "--least", 50, code=2)
    assert "50 megapixels" in refused.err
